// Runs the blocks of a document in one shell, so that what one block sets is there for the next, and tells what each printed.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export type ShellBlockToRun = {
  readonly text: string;
  /** The block is expected to end with another exit code than 0. */
  readonly isRefused: boolean;
};

export type ShellBlockResult = { readonly ok: boolean; readonly stdout: string; readonly stderr: string };

/** curl as people use it, but an HTTP error is a failure and nothing waits for ever. */
const curlSettings = 'fail-with-body\nsilent\nshow-error\nmax-time = 60\n';

function toScript(blocks: readonly ShellBlockToRun[], folder: string): string {
  const parts = blocks.map(({ text, isRefused }, index) => {
    const begin = `exec >'${folder}/${index}.out' 2>'${folder}/${index}.err'`;
    // Not as a condition: that would switch -e off inside.
    return isRefused
      ? `${begin}\nset +e\n(set -e\n${text}\n)\nblock_exit_code=$?\nset -e\n[ "$block_exit_code" -ne 0 ]`
      : `${begin}\n${text}`;
  });
  return ['set -euo pipefail', ...parts, `exec >'${folder}/end' 2>&1`, ''].join('\n');
}

/** Results up to the block that failed, which is the last one then. */
export async function runShellBlocks(
  blocks: readonly ShellBlockToRun[],
  options: { cwd: string; env: Readonly<Record<string, string | undefined>>; timeoutMs: number },
): Promise<ShellBlockResult[]> {
  const folder = await mkdtemp(join(tmpdir(), 'trialstream-shell-'));
  try {
    await writeFile(join(folder, '.curlrc'), curlSettings);
    await writeFile(join(folder, 'script.sh'), toScript(blocks, folder));
    const shell = spawn('bash', [join(folder, 'script.sh')], {
      cwd: options.cwd,
      env: { ...options.env, CURL_HOME: folder },
      stdio: 'ignore',
      // A group of its own, so that the end of time ends everything that the shell has started.
      detached: true,
    });
    const timer = setTimeout(() => process.kill(-shell.pid!, 'SIGKILL'), options.timeoutMs);
    await once(shell, 'close');
    clearTimeout(timer);
    const isComplete = existsSync(join(folder, 'end'));
    const begun = blocks.filter((_, index) => existsSync(join(folder, `${index}.out`))).length;
    return await Promise.all(
      Array.from({ length: begun }, async (_, index) => ({
        ok: isComplete || index < begun - 1,
        stdout: await readFile(join(folder, `${index}.out`), 'utf8'),
        stderr: await readFile(join(folder, `${index}.err`), 'utf8'),
      })),
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
