// A local stack whose broker has doors for fault links: listeners that tell clients to come back through the link.
import { chooseFreePort } from '#infra/local/ports.ts';
import type { LocalStack } from '#infra/local/stack.ts';
import { StackError } from '#infra/local/stack-error.ts';
import { startTemporaryStack } from '#tests/support/temporary-stack.ts';
import { type FaultLink, openFaultLink } from './fault-link.ts';

export type ChaosStack = {
  readonly stack: LocalStack;
  /** Each is the way of one process to the broker. */
  readonly doors: readonly FaultLink[];
  stop(): Promise<void>;
};

/** Enough for two services and four groups, one of them with three members and the others with two. */
const doorCount = 12;

const attempts = 3;

/** The ports behind the doors are free when they are chosen, and perhaps not any more when the broker starts: then with others. */
export async function startChaosStack(onProgress: (text: string) => void = () => undefined): Promise<ChaosStack> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await startOnce(onProgress);
    } catch (error) {
      if (attempt === attempts || !(error instanceof StackError)) throw error;
      onProgress(`starting again with other ports: ${error.message.split('\n')[0]}`);
    }
  }
}

/** The doors listen from the first to the last moment, so that nobody else gets their ports. */
async function startOnce(onProgress: (text: string) => void): Promise<ChaosStack> {
  const doors: FaultLink[] = [];
  const listeners: { port: number; advertisedPort: number }[] = [];
  for (let door = 0; door < doorCount; door += 1) {
    const port = await chooseFreePort(new Set(listeners.map((listener) => listener.port)));
    const link = await openFaultLink({ targetPort: port });
    doors.push(link);
    listeners.push({ port, advertisedPort: link.port });
  }
  const closeDoors = async (): Promise<void> => {
    await Promise.all(doors.map((door) => door.close()));
  };
  try {
    const stack = await startTemporaryStack(onProgress, { kafkaListeners: listeners });
    return {
      stack,
      doors,
      stop: async () => {
        await stack.stop();
        await closeDoors();
      },
    };
  } catch (error) {
    await closeDoors();
    throw error;
  }
}
