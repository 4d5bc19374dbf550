// The process behind `npm run up`: starts the stack, tells its parent, and keeps it until it is told to stop.

import { profiles } from './component.ts';
import { type LocalStack, startLocalStack } from './stack.ts';
import { describeError } from './stack-error.ts';

export type SupervisorMessage =
  | { readonly kind: 'progress'; readonly text: string }
  | { readonly kind: 'ready' }
  | { readonly kind: 'failed'; readonly text: string };

const [localDir, ...wantedProfiles] = process.argv.slice(2);
if (localDir === undefined || process.send === undefined) {
  console.error('supervisor.ts is started by up.ts');
  process.exit(2);
}

const log = (text: string) => console.log(`${new Date().toISOString()} ${text}`);
const tell = (message: SupervisorMessage) => {
  if (process.connected) process.send?.(message, () => {});
};

let stack: LocalStack | undefined;
let isStopWanted = false;
const stop = async () => {
  isStopWanted = true;
  // During the start there is no handle yet: the exit closes the lifelines, which stop what runs.
  if (stack === undefined) process.exit(1);
  log('stopping');
  await stack.stop();
  process.exit(0);
};
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => void stop());
// A parent that dies while the stack starts does not get one that nobody asked for any more.
process.on('disconnect', () => {
  if (stack === undefined) void stop();
});

try {
  stack = await startLocalStack({
    localDir,
    profiles: profiles.filter((profile) => wantedProfiles.includes(profile)),
    onProgress: (text) => {
      log(text);
      tell({ kind: 'progress', text });
    },
  });
  log('ready');
  tell({ kind: 'ready' });
} catch (error) {
  const text = describeError(error);
  log(text);
  if (!isStopWanted) tell({ kind: 'failed', text });
  process.exitCode = 1;
  process.disconnect?.();
}
