// How sends share requests, and that bounds of memory and time hold whatever Kafka does.
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createSendQueue, ProducerOverloadedError, type QueuedRecord } from '#producers/event-producer/send-queue.ts';

const limits = {
  maxRequestRecords: 10,
  maxRequestBytes: 1_000,
  maxQueuedRecords: 100,
  maxQueuedBytes: 10_000,
  deliveryTimeoutMs: 1_000,
};

function recordOf(name: string, bytes = 10): QueuedRecord {
  return { key: name, value: Buffer.alloc(1), bytes };
}

/** A broker that answers when the test says so. */
function createManualBroker() {
  const requests: { names: string[]; acknowledge(): void; fail(error: Error): void }[] = [];
  return {
    requests,
    write: (records: readonly { key: string | Buffer | null }[]) =>
      new Promise<void>((resolve, reject) => {
        requests.push({ names: records.map(({ key }) => String(key)), acknowledge: resolve, fail: reject });
      }),
  };
}

const turn = () => vi.advanceTimersByTimeAsync(0);

describe('the send queue', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('puts sends of one turn of the event loop into one request', async () => {
    const broker = createManualBroker();
    const queue = createSendQueue({ ...broker, limits });
    const first = queue.add([recordOf('a')]);
    const second = queue.add([recordOf('b'), recordOf('c')]);
    await turn();
    expect(broker.requests.map(({ names }) => names)).toEqual([['a', 'b', 'c']]);
    broker.requests[0]!.acknowledge();
    expect(await Promise.all([first, second])).toEqual([
      [{ status: 'acknowledged' }],
      [{ status: 'acknowledged' }, { status: 'acknowledged' }],
    ]);
    expect(queue.depth()).toEqual({ records: 0, bytes: 0 });
  });

  it('sends what arrives while a request is in flight with the next one', async () => {
    const broker = createManualBroker();
    const queue = createSendQueue({ ...broker, limits });
    void queue.add([recordOf('a')]);
    await turn();
    void queue.add([recordOf('b')]);
    void queue.add([recordOf('c')]);
    await turn();
    expect(broker.requests).toHaveLength(1);
    broker.requests[0]!.acknowledge();
    await turn();
    expect(broker.requests[1]!.names).toEqual(['b', 'c']);
  });

  it('splits a send that is larger than a request, and a record larger than a request goes alone', async () => {
    const broker = createManualBroker();
    const queue = createSendQueue({ ...broker, limits });
    const sent = queue.add([recordOf('a', 900), recordOf('b', 200), recordOf('huge', 5_000), recordOf('c')]);
    for (const names of [['a'], ['b'], ['huge'], ['c']]) {
      await turn();
      expect(broker.requests.at(-1)!.names).toEqual(names);
      broker.requests.at(-1)!.acknowledge();
    }
    expect(await sent).toHaveLength(4);
  });

  it('fails only the records of the request that failed', async () => {
    const broker = createManualBroker();
    const queue = createSendQueue({ ...broker, limits: { ...limits, maxRequestRecords: 2 } });
    const sent = queue.add(['a', 'b', 'c'].map((name) => recordOf(name)));
    await turn();
    const away = new Error('away');
    broker.requests[0]!.fail(away);
    await turn();
    broker.requests[1]!.acknowledge();
    expect(await sent).toEqual([
      { status: 'unknown', error: away },
      { status: 'unknown', error: away },
      { status: 'acknowledged' },
    ]);
  });

  it('answers within the delivery timeout: unknown for what is in flight, not sent for what waits', async () => {
    const broker = createManualBroker();
    const queue = createSendQueue({ ...broker, limits });
    const inFlight = queue.add([recordOf('a')]);
    await turn();
    const waiting = queue.add([recordOf('b')]);
    await vi.advanceTimersByTimeAsync(limits.deliveryTimeoutMs);
    expect(await inFlight).toMatchObject([{ status: 'unknown' }]);
    expect(await waiting).toMatchObject([{ status: 'not-sent' }]);
    expect(queue.depth()).toEqual({ records: 1, bytes: 10 });
    broker.requests[0]!.acknowledge();
    await turn();
    expect(broker.requests).toHaveLength(1);
    expect(queue.depth()).toEqual({ records: 0, bytes: 0 });
  });

  it('never sends the rest of a send that has timed out', async () => {
    const broker = createManualBroker();
    const queue = createSendQueue({ ...broker, limits: { ...limits, maxRequestRecords: 1 } });
    const sent = queue.add([recordOf('a'), recordOf('b')]);
    await turn();
    await vi.advanceTimersByTimeAsync(limits.deliveryTimeoutMs);
    expect(await sent).toMatchObject([{ status: 'unknown' }, { status: 'not-sent' }]);
    broker.requests[0]!.acknowledge();
    await turn();
    expect(broker.requests).toHaveLength(1);
  });

  it('bounds records and bytes, counting what is in flight', async () => {
    const broker = createManualBroker();
    const queue = createSendQueue({ ...broker, limits: { ...limits, maxQueuedRecords: 3, maxQueuedBytes: 100 } });
    void queue.add([recordOf('a'), recordOf('b')]);
    await turn();
    await expect(queue.add([recordOf('c'), recordOf('d')])).rejects.toThrow(ProducerOverloadedError);
    await expect(queue.add([recordOf('c', 81)])).rejects.toThrow(ProducerOverloadedError);
    void queue.add([recordOf('e', 80)]);
    expect(queue.depth()).toEqual({ records: 3, bytes: 100 });
    broker.requests[0]!.acknowledge();
    await turn();
    expect(queue.depth()).toEqual({ records: 1, bytes: 80 });
  });

  it('drains: what was taken is finished, what comes later is refused', async () => {
    const broker = createManualBroker();
    const queue = createSendQueue({ ...broker, limits });
    const sent = queue.add([recordOf('a')]);
    const drained = queue.drain();
    await expect(queue.add([recordOf('b')])).rejects.toThrow('closed');
    await turn();
    broker.requests[0]!.acknowledge();
    await drained;
    expect(await sent).toEqual([{ status: 'acknowledged' }]);
  });

  it('refuses what would wait too long behind slow requests, and takes it again when they are quick', async () => {
    const broker = createManualBroker();
    const queue = createSendQueue({ ...broker, limits });
    const answer = async (ms: number): Promise<void> => {
      await vi.advanceTimersByTimeAsync(ms);
      broker.requests.at(-1)!.acknowledge();
      await turn();
    };
    const fullRequest = (): QueuedRecord[] => [recordOf('a', limits.maxRequestBytes)];
    void queue.add(fullRequest());
    await turn();
    // As long as the request in flight is young, a second and a third one fit into half of the timeout.
    await vi.advanceTimersByTimeAsync(100);
    void queue.add(fullRequest());
    void queue.add(fullRequest());
    await vi.advanceTimersByTimeAsync(100);
    await expect(queue.add([recordOf('late')])).rejects.toThrow(ProducerOverloadedError);
    expect(queue.isStuck()).toBe(false);
    for (const ms of [200, 10, 10]) await answer(ms);
    expect(queue.depth()).toEqual({ records: 0, bytes: 0 });
    const taken = queue.add([recordOf('quick')]);
    await turn();
    await answer(0);
    expect(await taken).toEqual([{ status: 'acknowledged' }]);
  });

  it('takes what is alone, however slow the requests before it were, and says when one is stuck', async () => {
    const broker = createManualBroker();
    const queue = createSendQueue({ ...broker, limits });
    const slow = queue.add([recordOf('a')]);
    await turn();
    await vi.advanceTimersByTimeAsync(5 * limits.deliveryTimeoutMs);
    expect(await slow).toMatchObject([{ status: 'unknown' }]);
    expect(queue.isStuck()).toBe(true);
    await expect(queue.add([recordOf('b')])).rejects.toThrow(ProducerOverloadedError);
    broker.requests[0]!.acknowledge();
    await turn();
    expect(queue.isStuck()).toBe(false);
    const alone = queue.add([recordOf('c')]);
    await turn();
    broker.requests[1]!.acknowledge();
    expect(await alone).toEqual([{ status: 'acknowledged' }]);
  });

  it('gives each record exactly one true outcome, in order and within bounds, for any sends and failures', async () => {
    vi.useRealTimers();
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(fc.integer({ min: 1, max: 600 }), { minLength: 1, maxLength: 6 }), { maxLength: 12 }),
        fc.array(fc.boolean(), { minLength: 1, maxLength: 10 }),
        async (sends, failures) => {
          const written: string[] = [];
          const failed = new Set<string>();
          let requestCount = 0;
          const queue = createSendQueue({
            limits,
            write: async (records) => {
              const names = records.map(({ key }) => String(key));
              const bytes = records.reduce((sum, record) => sum + (record as QueuedRecord).bytes, 0);
              if (records.length > 1) expect(bytes).toBeLessThanOrEqual(limits.maxRequestBytes);
              expect(records.length).toBeLessThanOrEqual(limits.maxRequestRecords);
              requestCount += 1;
              if (failures[requestCount % failures.length] === true) {
                for (const name of names) failed.add(name);
                throw new Error('away');
              }
              written.push(...names);
            },
          });
          const named = sends.map((sizes, send) => sizes.map((bytes, index) => recordOf(`${send}.${index}`, bytes)));
          const outcomes = await Promise.all(named.map((records) => queue.add(records).catch(() => undefined)));
          const expected: string[] = [];
          outcomes.forEach((deliveries, send) => {
            deliveries?.forEach((delivery, index) => {
              const name = `${send}.${index}`;
              if (delivery.status === 'acknowledged') expected.push(name);
              else expect(failed.has(name)).toBe(true);
            });
          });
          expect(written).toEqual(expected);
          expect(queue.depth()).toEqual({ records: 0, bytes: 0 });
        },
      ),
      { numRuns: 200 },
    );
  });
});
