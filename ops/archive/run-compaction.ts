// Runs the compaction as a process of its own, with the settings of this one: commands do not import workers.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { FatalError } from '#platform/errors.ts';

export type CompactionResult = Readonly<Record<string, unknown>>;

const entry = fileURLToPath(new URL('../../workers/compaction/main.ts', import.meta.url));

/** What the worker printed as JSON. Its progress goes to stderr, Ctrl-C to it. @throws FatalError when it failed. */
export async function runCompaction(
  environment: Readonly<Record<string, string | undefined>>,
  options: { dryRun: boolean },
): Promise<CompactionResult> {
  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', entry, ...(options.dryRun ? ['--dry-run'] : [])],
    { env: { ...environment }, stdio: ['ignore', 'pipe', 'inherit'] },
  );
  let output = '';
  child.stdout.on('data', (chunk) => {
    output += String(chunk);
  });
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new FatalError('the compaction failed: see above', { code: 'unexpected' });
  return JSON.parse(output) as CompactionResult;
}
