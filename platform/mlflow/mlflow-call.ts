// Calls of MLflow's REST API whose refusal is a failure: the answer, or an error that says what was refused.
import { FatalError } from '#platform/errors.ts';
import type { MlflowClient, MlflowRequest } from './mlflow-client.ts';

export type Tags = Readonly<Record<string, string>>;

export const toTagList = (tags: Tags): { key: string; value: string }[] =>
  Object.entries(tags).map(([key, value]) => ({ key, value }));

export const fromTagList = (tags: readonly { key: string; value: string }[] | undefined): Record<string, string> =>
  Object.fromEntries((tags ?? []).map(({ key, value }) => [key, value]));

/** MLflow's filters know two kinds of quotes and no escapes. */
export const quoteText = (text: string): string => (text.includes("'") ? `"${text}"` : `'${text}'`);

/** What a request gave. @throws FatalError naming `what` when MLflow refuses; RetryableError when it is away. */
export async function callMlflow(
  client: MlflowClient,
  what: string,
  request: MlflowRequest,
): Promise<Record<string, unknown>> {
  const answer = await client.request(request);
  if (answer.ok) return answer.value as Record<string, unknown>;
  const { errorCode, message } = answer.refusal;
  throw new FatalError(`MLflow refused ${what} (${errorCode}): ${message}`, { code: 'unexpected' });
}

/** What a request gave, or null when MLflow has no such thing. */
export async function findInMlflow(
  client: MlflowClient,
  what: string,
  request: MlflowRequest,
): Promise<Record<string, unknown> | null> {
  const answer = await client.request(request);
  if (answer.ok) return answer.value as Record<string, unknown>;
  const { errorCode, message } = answer.refusal;
  if (errorCode === 'RESOURCE_DOES_NOT_EXIST') return null;
  throw new FatalError(`MLflow refused to tell of ${what} (${errorCode}): ${message}`, { code: 'unexpected' });
}

/** Everything under `field` on all pages of a search. `request` makes the request of a page from its token. */
export async function collectPages<T>(
  client: MlflowClient,
  what: string,
  options: { field: string; request: (page: Readonly<Record<string, string>>) => MlflowRequest },
): Promise<T[]> {
  const found: T[] = [];
  let pageToken = '';
  do {
    const page = await callMlflow(client, what, options.request(pageToken === '' ? {} : { page_token: pageToken }));
    found.push(...((page[options.field] ?? []) as T[]));
    pageToken = String(page.next_page_token ?? '');
  } while (pageToken !== '');
  return found;
}
