// Runs Schemathesis against a service: requests made from its OpenAPI document, valid and not, and a verdict on every answer.
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pythonWith } from '#tests/support/python-venv.ts';

export type FuzzReport = {
  readonly passed: boolean;
  /** Requests that were made. */
  readonly caseCount: number;
  /** What the fuzzer says, with a command that repeats each failure. */
  readonly output: string;
};

/** No 5xx, and only the statuses, media types and bodies that the document names. */
const conformance = ['status_code_conformance', 'content_type_conformance', 'response_schema_conformance'];
/** It never ends by itself. */
const endless = '/v1/definitions/stream';

/**
 * Fuzzes every operation with `examples` random requests after those that cover each limit of the document once. A request that
 * is not answered within 30 s is a failure. The same seed makes the same requests.
 */
export async function fuzzService(options: {
  url: string;
  apiKey: string;
  examples: number;
  seed: number;
  /** The service says no with 503 and 504: only statuses that the document does not have are failures. */
  mayBeBusy?: boolean;
  /** Values of fields of the body for which something exists: half of the requests have them. */
  known?: Readonly<Record<string, unknown>>;
  onOutput?: (text: string) => void;
}): Promise<FuzzReport> {
  const checks = options.mayBeBusy === true ? conformance : ['not_a_server_error', ...conformance];
  const program = join(dirname(await pythonWith('requirements-fuzz.txt')), 'st');
  const folder = await mkdtemp(join(tmpdir(), 'trialstream-fuzz-'));
  const child = spawn(
    program,
    [
      ...['run', `${options.url}/openapi.json`, '--header', `Authorization: Bearer ${options.apiKey}`],
      ...['--checks', checks.join(','), '--phases', 'examples,coverage,fuzzing', '--exclude-path', endless],
      ...['--max-examples', String(options.examples), '--seed', String(options.seed), '--request-timeout', '30'],
      ...['--continue-on-failure', '--no-shrink', '--suppress-health-check', 'all', '--warnings', 'off'],
    ],
    {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        PATH: process.env.PATH,
        HOME: folder,
        NO_COLOR: '1',
        PYTHONDONTWRITEBYTECODE: '1',
        SCHEMATHESIS_HOOKS: join(import.meta.dirname, 'known_values.py'),
        KNOWN_VALUES: JSON.stringify(options.known ?? {}),
      },
    },
  );
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      options.onOutput?.(text);
    });
  }
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  await rm(folder, { recursive: true, force: true });
  const caseCount = Number(/(\d+) generated/.exec(output)?.[1] ?? 0);
  return { passed: code === 0 && caseCount > 0, caseCount, output };
}
