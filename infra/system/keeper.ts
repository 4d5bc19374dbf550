// The process behind `npm start -- --keep`: holds stack, services and groups until `npm run down` or a signal.

import { rmSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { describeError } from '../local/stack-error.ts';
import { findStack } from '../local/stack-file.ts';
import { bringUp } from './bring-up.ts';
import { startControl } from './control.ts';
import { systemFilePath, writeSystemFile } from './system-file.ts';

export type KeeperMessage =
  | { readonly kind: 'progress'; readonly text: string }
  | { readonly kind: 'ready' }
  | { readonly kind: 'failed'; readonly text: string };

const localDir = process.argv[2];
if (localDir === undefined || process.send === undefined) {
  process.stderr.write('keeper.ts is started by start.ts\n');
  process.exit(2);
}
const folder = localDir;
const log = (text: string): void => {
  process.stdout.write(`${new Date().toISOString()} ${text}\n`);
};
const tell = (message: KeeperMessage): void => {
  if (process.connected) process.send?.(message, () => undefined);
};

const resources = new AsyncDisposableStack();
let stopping = false;
async function stop(exitCode: number): Promise<never> {
  if (!stopping) {
    stopping = true;
    log('stopping');
    rmSync(systemFilePath(folder), { force: true });
    await resources.disposeAsync();
  }
  process.exit(exitCode);
}
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => void stop(0));

try {
  const { system } = await bringUp({
    localDir: folder,
    resources,
    onProgress: (text) => {
      log(text);
      tell({ kind: 'progress', text });
    },
    onUnexpectedEnd: log,
  });
  const control = resources.use(
    await startControl({ system, onChange: () => writeSystemFile(folder, system, control.access), onError: log }),
  );
  writeSystemFile(folder, system, control.access);
  tell({ kind: 'ready' });
  log('ready');
  if (process.connected) process.disconnect();
  // When the stack is another process's, that one may stop first: without it there is nothing to keep.
  while (findStack(folder) !== null) await delay(1_000);
  await stop(0);
} catch (error) {
  const text = describeError(error);
  log(text);
  tell({ kind: 'failed', text });
  await stop(1);
}
