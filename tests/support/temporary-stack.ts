// A local stack of a test's own, in a folder that goes with it: for tests that break components.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type LocalStack, type LocalStackOptions, startLocalStack } from '#infra/local/stack.ts';
import { removeStackData } from '#infra/local/stack-data.ts';

/** Starts it on free ports; `stop()`, or the end of `await using`, removes its data too. A failed start keeps its logs. */
export async function startTemporaryStack(
  onProgress: (text: string) => void = () => {},
  options: Pick<LocalStackOptions, 'kafkaListeners' | 'onUnexpectedEnd'> = {},
): Promise<LocalStack> {
  const localDir = await mkdtemp(join(tmpdir(), 'trialstream-test-'));
  const stack = await startLocalStack({ localDir, ports: 'free', onProgress, ...options });
  const stop = async () => {
    await stack.stop();
    await removeStackData(localDir);
    await rm(localDir, { recursive: true, force: true });
  };
  return { ...stack, stop, [Symbol.asyncDispose]: stop };
}
