// Sends events without pause while things break: over HTTP and straight to Kafka, late, early, twice, refused; notes every outcome.
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventDateOf } from '#domain/event/parse-event.ts';
import { createRandom, drawInteger, drawOne, type Random } from '#domain/planning/seeded-random.ts';
import { runTraffic, sampleWorld } from '#producers/planner-traffic/traffic-samples.ts';
import type { EventBody, ExperimentRef } from '#producers/workload-client/workload-port.ts';
import type { Ledger, Outcome } from './ledger.ts';

export type TrafficOptions = {
  readonly seed: number;
  readonly ledger: Ledger;
  readonly ingestionUrls: readonly string[];
  readonly apiKey: string;
  /** Experiment with two variants that takes its exposures from its events. */
  readonly experiment: { readonly id: string; readonly variants: readonly string[] };
  /** Told about answers that break the contract of the service. */
  readonly complain: (problem: string) => void;
};

type Writer = { readonly run: (isStopped: () => boolean) => Promise<void> };

const minute = 60_000;
const day = 24 * 60 * minute;

const identityOf = ({ event_id, timestamp }: EventBody): string =>
  `${event_id}/${eventDateOf(Math.max(0, Date.parse(timestamp)))}`;

/** Mostly now, some of it days late or almost an hour early, in no order. */
function drawTime(random: Random): string {
  const kind = random();
  const shift = kind < 0.7 ? -random() * 5 * minute : kind < 0.9 ? -random() * 3 * day : random() * 50 * minute;
  return new Date(Date.now() + shift).toISOString();
}

function makeEvent(random: Random, unit: number, { experiment }: TrafficOptions): EventBody {
  const ref: ExperimentRef = { experiment_id: experiment.id, variant_id: experiment.variants[unit % 2]! };
  return {
    event_id: randomUUID(),
    event_type: drawOne(random, ['purchase', 'view', 'exposure']),
    unit_type: 'user',
    unit_id: `user-${unit}`,
    experiments: [ref],
    context: { country: drawOne(random, ['DE', 'FR', 'JP']) },
    metrics: { revenue: random() * 100, items: drawInteger(random, 0, 5) },
    timestamp: drawTime(random),
  };
}

/** An event that the door must refuse, whatever else happens. */
function spoil(random: Random, event: EventBody): EventBody {
  const spoiled: Readonly<Record<string, unknown>>[] = [
    { ...event, unit_id: '' },
    { ...event, metrics: { revenue: 'a lot' } },
    { ...event, timestamp: '1999-01-01T00:00:00.000Z' },
    { ...event, experiments: [{ ...event.experiments[0], experiment_id: randomUUID() }] },
    { ...event, surprise: true },
  ];
  return drawOne(random, spoiled) as unknown as EventBody;
}

/** Posts once and says what that makes of each event. */
async function post(url: string, events: readonly EventBody[], options: TrafficOptions): Promise<Outcome[]> {
  const all = (outcome: Outcome): Outcome[] => events.map(() => outcome);
  let answer: Response;
  let body: { results?: { status: string }[]; code?: string };
  try {
    answer = await fetch(`${url}/v1/events`, {
      method: 'POST',
      headers: { authorization: `Bearer ${options.apiKey}`, 'content-type': 'application/json' },
      body: JSON.stringify(events),
      signal: AbortSignal.timeout(8_000),
    });
    body = (await answer.json()) as typeof body;
  } catch {
    return all('unknown');
  }
  const { status } = answer;
  if ([429, 503].includes(status) && answer.headers.get('retry-after') === null)
    options.complain(`${status} came without Retry-After`);
  if (body.results?.length === events.length) {
    return body.results.map((result) =>
      result.status === 'accepted' ? 'acknowledged' : result.status === 'rejected' ? 'rejected' : 'unknown',
    );
  }
  if (status !== 429 && status !== 503) options.complain(`unexpected answer ${status}: ${JSON.stringify(body)}`);
  return all('unknown');
}

/**
 * One sender: the next events only when the ones before are settled, so that the order of a unit is the order of its sending.
 * What is unknown is sent again, now and then given up; settled batches are sent again now and then for no reason.
 */
function createWriter(name: string, next: (random: Random) => readonly EventBody[], options: TrafficOptions): Writer {
  const random = createRandom(`traffic/${options.seed}/${name}`);
  const { ledger } = options;
  const settled: (readonly EventBody[])[] = [];

  const send = async (events: readonly EventBody[]): Promise<EventBody[]> => {
    for (const event of events)
      ledger.sent({
        eventId: event.event_id,
        identity: identityOf(event),
        unit: `${event.unit_type}:${event.unit_id}`,
      });
    const outcomes = await post(drawOne(random, options.ingestionUrls), events, options);
    for (const [index, event] of events.entries()) ledger.answered(event.event_id, outcomes[index]!);
    return events.filter((_, index) => outcomes[index] === 'unknown');
  };

  return {
    run: async (isStopped) => {
      let open: readonly EventBody[] = [];
      for (;;) {
        if (open.length > 0) {
          await sleep(300);
          open = await send(open);
          // Given up for ever: whether these count stays open.
          if (open.length > 0 && random() < 0.15) open = [];
          continue;
        }
        if (isStopped()) return;
        const batch = next(random);
        if (batch.length === 0) return;
        open = await send(batch);
        if (open.length === 0) settled.push(batch);
        if (settled.length > 0 && random() < 0.15) await send(drawOne(random, settled));
        await sleep(120);
      }
    },
  };
}

/** Resolves when every sender has stopped, with nothing on its way. */
export function startTraffic(options: TrafficOptions): { stop(): Promise<void> } {
  const unitsPerWriter = 40;
  const users = (writer: number): Writer =>
    createWriter(
      `users-${writer}`,
      (random) =>
        Array.from({ length: drawInteger(random, 5, 25) }, () => {
          const event = makeEvent(
            random,
            writer * unitsPerWriter + drawInteger(random, 0, unitsPerWriter - 1),
            options,
          );
          return random() < 0.04 ? spoil(random, event) : event;
        }),
      options,
    );
  const plans = runTraffic({ world: sampleWorld({ seed: options.seed, households: 40, days: 14 }), assign: () => [] });
  const planner = createWriter('planner', () => plans.splice(0, 8), options);
  let stopped = false;
  const running = [users(0), users(1), users(2), planner].map((writer) => writer.run(() => stopped));
  // A defect of a sender must not pass as silence; `stop` throws it.
  const all = Promise.all(running);
  all.catch(() => undefined);
  return {
    stop: async () => {
      stopped = true;
      await all;
    },
  };
}
