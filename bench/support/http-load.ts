// Starts the load generator against a server, and makes sure that what it measured were accepted requests.
import { runOwnProgram } from '#infra/system/bring-up.ts';
import type { LoadOptions, LoadResult } from './load-generator.ts';

export type { LoadResult } from './load-generator.ts';

/** @throws when any answer within the measured time was not 2xx: refusals are quick, and would look like speed. */
export async function generateLoad(options: LoadOptions): Promise<LoadResult> {
  const output = await runOwnProgram('bench/support/load-generator.ts', [JSON.stringify(options)], {
    PATH: process.env.PATH ?? '',
  });
  const result = JSON.parse(output.trim().split('\n').at(-1)!) as LoadResult;
  const refused = Object.entries(result.statuses).filter(([status]) => !status.startsWith('2'));
  if (refused.length > 0 || result.requests === 0) {
    const said = result.refusal === null ? 'nothing was answered' : result.refusal;
    throw new Error(`${options.traffic} on ${options.origin}: answers ${JSON.stringify(result.statuses)}; ${said}`);
  }
  return result;
}
