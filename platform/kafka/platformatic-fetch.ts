// One fetch request over @platformatic/kafka's connections, with the offsets that we choose and a deadline.
import { type Consumer, kGetApi } from '@platformatic/kafka';

export type FetchAnswer = Awaited<ReturnType<Consumer['fetch']>>;
export type FetchedPartition = FetchAnswer['responses'][number]['partitions'][number];

type FetchCall = (
  connection: unknown,
  maxWaitMs: number,
  minBytes: number,
  maxBytes: number,
  isolationLevel: number,
  sessionId: number,
  sessionEpoch: number,
  topics: readonly object[],
  forgotten: readonly object[],
  rackId: string,
  callback: (error: Error | null, answer?: FetchAnswer) => void,
) => void;

const maxAnswerBytes = 4 * 1024 * 1024;
const readCommitted = 1;
/** A fetch that takes longer goes over a connection that is dead without having been closed. */
const deadlineMs = 10_000;

export class FetchDeadlineError extends Error {}

/**
 * Asks one broker. Not by `Consumer.fetch`: that one filters aborted transactions, and forgets all but the last of a producer and
 * those whose end is in a later answer. @throws FetchDeadlineError, or the client's error when there is no answer at all.
 */
export async function fetchPartitions(
  client: Consumer,
  options: {
    topic: string;
    topicId: string;
    node: number;
    from: readonly { partition: number; offset: bigint }[];
    maxBytesPerPartition: number;
    maxWaitTimeMs: number;
  },
): Promise<readonly FetchedPartition[]> {
  const metadata = await client.metadata({ topics: [options.topic] });
  const broker = metadata.brokers.get(options.node);
  if (broker === undefined) return [];
  const connection = await client.connections.get(broker);
  const call = await new Promise<FetchCall>((resolve, reject) => {
    client[kGetApi]('Fetch', (error: Error | null, api: unknown) =>
      error === null ? resolve(api as FetchCall) : reject(error),
    );
  });
  const partitions = options.from.map(({ partition, offset }) => ({
    partition,
    fetchOffset: offset,
    currentLeaderEpoch: -1,
    lastFetchedEpoch: -1,
    partitionMaxBytes: options.maxBytesPerPartition,
  }));
  const asked = [{ topicId: options.topicId, partitions }];
  const answer = await new Promise<FetchAnswer>((resolve, reject) => {
    const deadline = setTimeout(
      () => reject(new FetchDeadlineError(`no answer to a fetch within ${deadlineMs} ms`)),
      deadlineMs,
    );
    call(connection, options.maxWaitTimeMs, 1, maxAnswerBytes, readCommitted, 0, 0, asked, [], '', (error, found) => {
      clearTimeout(deadline);
      // An error of one partition is an error of the call, but the answer holds what the others have.
      const whole = found ?? (error as { response?: FetchAnswer } | null)?.response;
      if (whole?.responses === undefined) reject(error ?? new Error('an empty answer to a fetch'));
      else resolve(whole);
    });
  });
  return answer.responses.flatMap(({ partitions: parts }) => parts);
}
