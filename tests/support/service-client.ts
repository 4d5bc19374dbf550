// Calls our HTTP services in tests: one JSON request, repeated only while the service says that it is busy.

import type { DefinitionDocument } from '#producers/definition-store/definition-document.ts';
import { postUntilAnswered, systemRetryDeps } from '#producers/workload-client/busy-retry.ts';
import { definitionOf } from '#tests/support/assignment-service-instance.ts';
import type { TestSystem } from '#tests/support/test-system.ts';

/** Posts and parses the answer. @throws Error on any other status than the expected ones, with what the service said. */
export async function post<T>(url: string, apiKey: string, body: unknown, expected: readonly number[]): Promise<T> {
  const answer = await postUntilAnswered({ url, apiKey, body }, systemRetryDeps);
  if (!expected.includes(answer.status))
    throw new Error(`POST ${url} was answered with ${answer.status}: ${JSON.stringify(answer.body).slice(0, 500)}`);
  return answer.body as T;
}

/** Creates a running experiment over users with two equal variants, unless the change says otherwise. */
export function createExperiment(
  { system, access }: Pick<TestSystem, 'system' | 'access'>,
  change: Parameters<typeof definitionOf>[0],
): Promise<DefinitionDocument> {
  const url = `${system.process('assignment-service').url}/v1/experiments`;
  return post(url, access.adminKey, definitionOf(change), [200, 201]);
}
