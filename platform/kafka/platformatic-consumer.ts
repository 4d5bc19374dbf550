// The consumer port on @platformatic/kafka: its group membership with our own fetch loop; static membership where a member has a name.
import { setTimeout as sleep } from 'node:timers/promises';
import { type Consumer, protocolErrors } from '@platformatic/kafka';
import { describeError, FatalError } from '#platform/errors.ts';
import type { ConsumerHandlers, ConsumerMember } from '#platform/kafka/consumer-port.ts';
import { toCommittedRecords } from '#platform/kafka/fetched-records.ts';
import {
  closeGroupClient,
  createGroupClient,
  type GroupClientOptions,
  isTransientClientError,
} from '#platform/kafka/platformatic-client.ts';
import { FetchDeadlineError, type FetchedPartition, fetchPartitions } from '#platform/kafka/platformatic-fetch.ts';

/** One owned partition. `epoch` changes whenever what was fetched before must not be delivered any more. */
type Place = { next: bigint; paused: boolean; inFlight: boolean; epoch: number };
type Asked = { readonly partition: number; readonly place: Place; readonly epoch: number };

const offsetOutOfRange = 1;
const earliest = -2n;
const maxBackoffMs = 2_000;
const refusals = new Set(
  (['TOPIC_AUTHORIZATION_FAILED', 'GROUP_AUTHORIZATION_FAILED', 'INVALID_TOPIC_EXCEPTION'] as const).map(
    (name) => protocolErrors[name]!.code,
  ),
);

/** A member of a consumer group on one topic. */
export function createPlatformaticConsumer(options: GroupClientOptions): ConsumerMember {
  const { topic, groupId, log } = options;
  const places = new Map<number, Place>();
  let epochs = 0;
  let handlers: ConsumerHandlers | undefined;
  let client = createGroupClient(options);
  let loop: Promise<void> | undefined;
  let recovery: Promise<void> | undefined;
  let ended = false;
  let wake = Promise.withResolvers<void>();

  const wakeUp = (): void => {
    wake.resolve();
    wake = Promise.withResolvers<void>();
  };
  const revoke = (): void => {
    places.clear();
    handlers?.revoked();
  };
  const crash = (error: unknown): void => {
    if (ended) return;
    ended = true;
    revoke();
    wakeUp();
    handlers?.crashed(error);
  };

  const listen = (to: Consumer): void => {
    const isCurrent = (): boolean => to === client && !ended;
    to.on('consumer:group:join', ({ assignments }) => {
      if (!isCurrent()) return;
      const partitions = assignments?.find((entry) => entry.topic === topic)?.partitions ?? [];
      places.clear();
      for (const id of partitions) places.set(id, { next: 0n, paused: true, inFlight: false, epoch: ++epochs });
      handlers?.assigned(partitions);
    });
    to.on('consumer:group:rebalance', () => {
      if (isCurrent()) revoke();
    });
    to.on('consumer:heartbeat:error', ({ error }) => {
      if (!isCurrent()) return;
      // The client sends no heartbeat after one that failed: it would go on reading what the group gives to others meanwhile.
      recover(error);
    });
    // Says that the client could not join again; without a listener it would end the process without a word.
    (to as unknown as NodeJS.EventEmitter).on('error', (error: unknown) => {
      if (isCurrent()) recover(error);
    });
  };

  /**
   * Joins with a new client: the old one may hold connections that are dead without having been closed, and it never asks again
   * which broker coordinates the group.
   */
  const recover = (reason: unknown): void => {
    if (ended || recovery !== undefined) return;
    if (!isTransientClientError(reason)) {
      crash(reason);
      return;
    }
    log.warn({ groupId, cause: describeError(reason) }, 'joining the group again');
    revoke();
    recovery = (async () => {
      for (let attempt = 1; !ended; attempt += 1) {
        const { memberId } = client;
        await closeGroupClient(client, { leave: false, log });
        client = createGroupClient(options);
        listen(client);
        // The group still knows this member: as a new one it would have to wait for the old one.
        client.memberId = memberId;
        try {
          await client.joinGroup({});
          return;
        } catch (error) {
          if (!isTransientClientError(error)) {
            crash(error);
            return;
          }
          log.debug({ groupId, attempt, cause: describeError(error) }, 'the group cannot be joined yet');
        }
        await sleep(Math.min(maxBackoffMs, 100 * 2 ** Math.min(attempt, 10)));
      }
    })().finally(() => {
      recovery = undefined;
      wakeUp();
    });
  };

  const deliver = async ({ partition, place, epoch }: Asked, part: FetchedPartition): Promise<void> => {
    // Revoked, sought or paused meanwhile: it will be fetched again from where it then is.
    const isWanted = (): boolean => places.get(partition) === place && place.epoch === epoch && !place.paused && !ended;
    if (!isWanted()) return;
    if (part.errorCode === offsetOutOfRange) {
      const starts = await client.listOffsets({
        topics: [topic],
        partitions: { [topic]: [partition] },
        timestamp: earliest,
      });
      if (isWanted()) place.next = starts.get(topic)![partition]!;
      return;
    }
    if (part.errorCode !== 0) {
      if (refusals.has(part.errorCode))
        throw new FatalError(`Kafka refuses to give ${topic} partition ${partition}: error ${part.errorCode}`, {
          code: 'unexpected',
        });
      client.clearMetadata();
      await sleep(100);
      return;
    }
    const fetchedFrom = place.next;
    const { records, nextOffset } = toCommittedRecords({
      topic,
      partition,
      fetchedFrom,
      batches: part.records ?? [],
      aborted: part.abortedTransactions ?? [],
    });
    if (nextOffset === fetchedFrom) return;
    place.next = nextOffset;
    await handlers!.fetched({ partition, fetchedFrom, records, nextOffset, highWatermark: part.highWatermark });
  };

  const fetchFrom = async (node: number, topicId: string, asked: readonly Asked[]): Promise<void> => {
    const from = client;
    let parts: readonly FetchedPartition[];
    try {
      parts = await fetchPartitions(from, {
        topic,
        topicId,
        node,
        from: asked.map(({ partition, place }) => ({ partition, offset: place.next })),
        maxBytesPerPartition: options.maxBytesPerPartition ?? 512 * 1024,
        maxWaitTimeMs: options.maxWaitTimeMs ?? 100,
      });
    } catch (error) {
      if (ended || from !== client || recovery !== undefined) return;
      if (error instanceof FetchDeadlineError) recover(Object.assign(error, { code: 'ETIMEDOUT' }));
      else if (!isTransientClientError(error)) crash(error);
      log.debug({ topic, cause: describeError(error) }, 'fetch failed');
      from.clearMetadata();
      await sleep(500);
      return;
    }
    try {
      for (const part of parts) {
        const wanted = asked.find(({ partition }) => partition === part.partitionIndex);
        if (wanted !== undefined) await deliver(wanted, part);
      }
    } catch (error) {
      if (!isTransientClientError(error)) crash(error);
    }
  };

  /** What may be fetched now, by the broker that leads it; those that waited longest come first, because they fill the answer. */
  const planFetches = async (): Promise<{ topicId: string; byNode: Map<number, Asked[]>; isWaiting: boolean }> => {
    const found = (await client.metadata({ topics: [topic] })).topics.get(topic)!;
    const byNode = new Map<number, Asked[]>();
    let isWaiting = false;
    for (const [partition, place] of [...places]) {
      if (place.paused || place.inFlight) continue;
      const leader = found.partitions[partition]?.leader ?? -1;
      if (leader < 0) {
        isWaiting = true;
        continue;
      }
      byNode.set(leader, [...(byNode.get(leader) ?? []), { partition, place, epoch: place.epoch }]);
    }
    return { topicId: found.id, byNode, isWaiting };
  };

  /** One fetch at a time per broker. */
  const run = async (): Promise<void> => {
    const inFlight = new Map<number, Promise<void>>();
    while (!ended) {
      const woken = wake.promise;
      try {
        const { topicId, byNode, isWaiting } = await planFetches();
        for (const [node, asked] of byNode) {
          if (inFlight.has(node)) continue;
          for (const { partition, place } of asked) {
            place.inFlight = true;
            if (places.get(partition) !== place) continue;
            places.delete(partition);
            places.set(partition, place);
          }
          const fetching = fetchFrom(node, topicId, asked).finally(() => {
            for (const { place } of asked) place.inFlight = false;
            inFlight.delete(node);
          });
          inFlight.set(node, fetching);
        }
        if (isWaiting) await sleep(500);
        else await Promise.race([...inFlight.values(), woken]);
      } catch (error) {
        if (recovery === undefined && !isTransientClientError(error)) crash(error);
        else await sleep(500);
      }
    }
    await Promise.all(inFlight.values());
  };

  const change = (partition: number, apply: (place: Place) => void): void => {
    const place = places.get(partition);
    if (place === undefined) return;
    apply(place);
    wakeUp();
  };

  listen(client);
  return {
    start: async (given) => {
      handlers = given;
      try {
        await client.joinGroup({});
      } catch (error) {
        recover(error);
      }
      loop = run();
    },
    seek: (partition, offset) =>
      change(partition, (place) => {
        place.next = offset;
        place.epoch = ++epochs;
      }),
    pause: (partition) =>
      change(partition, (place) => {
        place.paused = true;
      }),
    resume: (partition) =>
      change(partition, (place) => {
        place.paused = false;
      }),
    commit: (offsets) =>
      client.commit({
        offsets: [...offsets].map(([partition, offset]) => ({ topic, partition, offset, leaderEpoch: -1 })),
      }),
    stop: async () => {
      ended = true;
      wakeUp();
      await loop;
      await recovery;
      await closeGroupClient(client, { leave: options.instanceId === undefined, log });
    },
  };
}
