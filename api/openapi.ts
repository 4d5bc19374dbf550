// The OpenAPI document of a service and its page, and what it says about a status that a route does not describe itself.
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { FastifyInstance } from 'fastify';

const meanings: Readonly<Record<string, string>> = {
  200: 'The answer',
  201: 'Created',
  202: 'All of it is accepted',
  207: 'A part of it is refused: the answer says which, and why',
  304: 'Unchanged since the entity tag that the request names',
  400: 'The request is wrong; `field` says where',
  401: 'No valid API key',
  403: 'The key lacks the scope',
  404: 'There is nothing of this name',
  409: 'The state of the experiment forbids it, or it has another version by now',
  413: 'Larger than accepted',
  415: 'Another content type or encoding than accepted',
  429: 'The key asks too often or has too much under way: wait as `Retry-After` says',
  500: 'The service failed; its log says why',
  503: 'This cannot be done at the moment; a repetition is safe, after `Retry-After`',
};

/** What Fastify writes where a route has no description of a response. */
const nothingSaid = 'Default Response';

type Responses = { readonly responses?: Record<string, { description?: string }> };
type OpenApiDocument = { readonly paths?: Record<string, Record<string, unknown> | undefined> };

/** The document with a meaning for every status. */
function describeResponses<Document extends OpenApiDocument>(document: Document): Document {
  for (const operations of Object.values(document.paths ?? {})) {
    for (const operation of Object.values(operations ?? {}) as Responses[]) {
      for (const [status, response] of Object.entries(operation.responses ?? {})) {
        const meaning = meanings[status];
        if (response.description === nothingSaid && meaning !== undefined) response.description = meaning;
      }
    }
  }
  return document;
}

/** Documents the routes that are added after it; the page is at /docs. */
export async function documentApi(app: FastifyInstance, about: { title: string; description: string }): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { ...about, version: '1' },
      components: { securitySchemes: { apiKey: { type: 'http', scheme: 'bearer' } } },
    },
    transformObject: (document) => ('openapiObject' in document ? describeResponses(document.openapiObject) : {}),
  });
  await app.register(swaggerUi, { routePrefix: '/docs' });
}
