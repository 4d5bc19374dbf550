// `ops scale`: the number of members of a group of the local system, whose keeper starts and stops them.
import { FatalError } from '#platform/errors.ts';
import type { ConsumerGroupName } from '#schemas/topics.ts';

export type MemberProcess = { readonly name: string; readonly pid: number; readonly url: string };

/** Starting takes seconds for each member; a member that stops drains first. */
const deadlineMs = 180_000;

/**
 * The processes that run when all are ready.
 * @throws FatalError when no local system runs, or when its keeper refuses.
 */
export async function scaleLocally(
  environment: Readonly<Record<string, string | undefined>>,
  order: { name: ConsumerGroupName; count: number },
): Promise<MemberProcess[]> {
  const { LOCAL_CONTROL_URL: url, LOCAL_CONTROL_TOKEN: token } = environment;
  if (url === undefined || token === undefined) {
    throw new FatalError(
      'this scales the local system of "npm start -- --keep", and none is running. Elsewhere change the replicas of the deployment',
      { code: 'config-invalid' },
    );
  }
  const response = await fetch(`${url}/scale`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify(order),
    signal: AbortSignal.timeout(deadlineMs),
  });
  const answer = (await response.json()) as MemberProcess[] | { message: string };
  if (!Array.isArray(answer)) throw new FatalError(answer.message, { code: 'config-invalid' });
  return answer;
}
