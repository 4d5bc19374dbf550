// A server that answers like Metabase where provisioning needs it: bodies judged by the OpenAPI description, state in memory, cards
// really run on Postgres. It shows that our requests fit the contract, not that a live Metabase accepts them.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createMetabaseState, type MetabaseState } from './contract-state.ts';
import { findRoute } from './openapi-contract.ts';
import { Refusal } from './refusal.ts';

export type SeenRequest = { readonly method: string; readonly path: string; readonly status: number };

export type ContractServer = {
  readonly url: string;
  readonly state: MetabaseState;
  /** Every request since the start, or since `forget`. */
  readonly seen: readonly SeenRequest[];
  forget(): void;
  /** Requests that may have changed something; logging in does not. */
  writes(): SeenRequest[];
  stop(): Promise<void>;
};

export type ContractServerOptions = {
  /** Answers that are 503 before the server is up, as while Metabase starts. */
  readonly startingAnswers?: number;
  /** Makes the answer of one request another one. */
  readonly spoil?: (request: {
    method: string;
    path: string;
    body: unknown;
  }) => { status: number; body: unknown } | null;
};

async function readBody(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString('utf8');
  return text === '' ? undefined : JSON.parse(text);
}

const openRoutes = ['/api/health', '/api/session/properties', '/api/setup', '/api/session'];

export async function startContractServer(options: ContractServerOptions = {}): Promise<ContractServer> {
  const state = createMetabaseState();
  const seen: SeenRequest[] = [];
  let starting = options.startingAnswers ?? 0;

  const answer = async (request: IncomingMessage): Promise<{ status: number; body: unknown }> => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost');
    const method = request.method ?? 'GET';
    const body = await readBody(request);
    if (starting > 0) {
      starting -= 1;
      return { status: 503, body: { status: 'initializing' } };
    }
    const spoiled = options.spoil?.({ method, path: pathname, body });
    if (spoiled !== undefined && spoiled !== null) return spoiled;
    const route = findRoute(method, pathname);
    if (route === null) return { status: 404, body: 'API endpoint does not exist.' };
    const caller = state.findCaller(request.headers);
    if (caller === null && !openRoutes.includes(route.template)) return { status: 401, body: 'Unauthenticated' };
    const problems = route.checkRequest(body);
    if (problems.length > 0) return { status: 400, body: { errors: problems } };
    const handle = state.routes[`${method} ${route.template}`];
    if (handle === undefined) return { status: 404, body: `not part of this server: ${method} ${route.template}` };
    const given = (body ?? {}) as Readonly<Record<string, never>>;
    const result = await handle({ parameters: route.parameters, query: searchParams, body: given });
    const wrong = route.checkAnswer(result);
    if (wrong.length > 0) return { status: 500, body: { error: 'this server breaks its own contract', wrong } };
    return { status: pathname.endsWith('/query') ? 202 : 200, body: result };
  };

  const respond = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { status, body } = await answer(request).catch((error: unknown) =>
      error instanceof Refusal
        ? { status: error.status, body: error.body }
        : { status: 500, body: { error: String((error as Error).stack) } },
    );
    seen.push({
      method: request.method ?? 'GET',
      path: new URL(request.url ?? '/', 'http://localhost').pathname,
      status,
    });
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify(body));
  };

  const server = createServer((request, response) => void respond(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    state,
    seen,
    forget: () => void seen.splice(0),
    writes: () =>
      seen.filter(({ method, path }) => method !== 'GET' && path !== '/api/session' && !path.endsWith('/query')),
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await state.close();
    },
  };
}
