// Promise: a new version of the event schema is rolled out and back while events flow, without loss; an incompatible one is refused by name.
import { spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { repositoryRoot } from '#infra/local/local-dir.ts';
import { runOwnProgram } from '#infra/system/bring-up.ts';
import { waitUntilCaughtUp } from '#infra/system/caught-up.ts';
import type { RunningProcess } from '#infra/system/system.ts';
import { schemaIdOf } from '#platform/kafka/avro-codec.ts';
import { valueSubject } from '#schemas/topics.ts';
import { type CodeChange, type CodeCopy, copyWithChanges } from '#tests/support/code-copy.ts';
import { sampleEvent, sampleExperiment, storeSampleExperiment } from '#tests/support/events.ts';
import { opsEnvironment } from '#tests/support/ops-command.ts';
import { until } from '#tests/support/poll.ts';
import { post } from '#tests/support/service-client.ts';
import { readArchive, readStoredEvents } from '#tests/support/stored-events.ts';
import { startTestSystem, type TestSystem } from '#tests/support/test-system.ts';

const avsc = 'schemas/event.avsc';
const producerField = '"doc": "Name of the producer (API key name or service name)" }';
const variantField = '{ "name": "variant_id", "type": "string" }';

/** The next release: a field more in the event and in its experiments; services fill one of them, consumers show it in the context. */
const nextRelease: readonly CodeChange[] = [
  {
    name: 'a field of the event',
    file: avsc,
    text: producerField,
    replacement: `${producerField}, { "name": "release", "type": ["null", "string"], "default": null }`,
  },
  {
    name: 'a field of its experiments',
    file: avsc,
    text: variantField,
    replacement: `${variantField}, { "name": "position", "type": ["null", "int"], "default": null }`,
  },
  {
    name: 'the service fills it',
    file: 'api/ingestion-service/accept-events.ts',
    text: 'producer: caller,\n',
    replacement: "producer: caller, release: 'next',\n",
  },
  {
    name: 'consumers show it',
    file: 'domain/event/decode-event.ts',
    text: 'value: event };',
    replacement: "value: { ...event, context: { ...event.context, release: event.release ?? 'none' } } };",
  },
];
const renamed: CodeChange = {
  name: 'a field with another name',
  file: avsc,
  text: '"name": "event_type"',
  replacement: '"name": "kind"',
};

const groups = ['postgres-sink', 'parquet-archiver'] as const;
const processes = ['ingestion-service', ...groups] as const;
const perProcess = <T>(value: T) => Object.fromEntries(processes.map((name) => [name, value]));
let run: TestSystem;
let next: CodeCopy;
let incompatible: CodeCopy;

beforeAll(async () => {
  [next, incompatible] = await Promise.all([copyWithChanges(nextRelease), copyWithChanges([renamed])]);
  run = await startTestSystem(perProcess(2), {
    startAtFirst: perProcess(0),
    codeRoot: (replica) => (replica === 1 ? repositoryRoot : next.root),
  });
  await storeSampleExperiment(run.database.pool);
});
afterAll(async () => {
  await run?.stop();
  await Promise.all([next?.remove(), incompatible?.remove()]);
});

/** `ops deploy` of a copy of the code, on the database and topics of this test. */
const deploy = (copy: CodeCopy): Promise<string> => {
  const { namespace } = run.topics;
  const place = { postgresUrl: run.database.url, namespace, erasureKey: run.access.erasureKey };
  return runOwnProgram('ops/main.ts', ['deploy'], opsEnvironment(place), copy.root);
};
const eventsSubject = (): string => valueSubject(run.topics.name('events'));
/** Registered id of the event schema of a release. */
const idOf = async (root: string): Promise<number> =>
  run.topics.registry.idOf(eventsSubject(), JSON.parse(await readFile(join(root, avsc), 'utf8')));

type Traffic = {
  open(service: RunningProcess): void;
  /** Resolves when no request to the service is under way and none will follow. */
  close(service: RunningProcess): Promise<void>;
  /** Identities of all events; each was acknowledged, and sent once. */
  stop(): Promise<string[]>;
};

/** Sends events to the open services in turn, without pause. */
function startTraffic(): Traffic {
  const acknowledged: string[] = [];
  const services = new Set<RunningProcess>();
  const experiments = [{ experiment_id: sampleExperiment.id, variant_id: sampleExperiment.variants[0] }];
  const toBody = () => {
    const { event_id, event_type, unit_type, context } = sampleEvent();
    const unit_id = `user-${event_id}`;
    return { event_id, event_type, unit_type, unit_id, context, experiments, timestamp: '2026-10-01T12:00:00Z' };
  };
  const sendTo = async ({ url }: RunningProcess): Promise<void> => {
    const events = Array.from({ length: 24 }, toBody);
    await post(`${url}/v1/events`, run.access.ingestKey, events, [202]);
    acknowledged.push(...events.map(({ event_id }) => `${event_id}/2026-10-01`));
  };
  const sendRound = async (): Promise<void> => {
    for (const service of services) await sendTo(service);
    await sleep(50);
  };
  let stopped = false;
  let round = Promise.resolve();
  const sending = (async () => {
    while (!stopped) {
      round = sendRound();
      await round;
    }
  })();
  // A test that waits for something else hears of it at the end.
  sending.catch(() => undefined);
  return {
    open: (service) => void services.add(service),
    close: (service) => {
      services.delete(service);
      return round;
    },
    stop: async () => {
      stopped = true;
      await sending;
      return acknowledged.sort();
    },
  };
}

/** Which releases wrote and which stored the rows so far: `written by next, stored by present`. */
async function listMeetings(schemaIds: ReadonlyMap<number, string>): Promise<string[]> {
  const rows = await run.database.pool.query<{ position: string; release: string | null }>(
    `SELECT source_partition || '/' || source_offset AS position, context ->> 'release' AS release FROM exp.events`,
  );
  const records = await run.topics.readAll('events');
  const writers = new Map(
    records.map(({ partition, offset, value }) => [
      `${partition}/${offset}`,
      schemaIds.get(schemaIdOf(value!) ?? 0) ?? 'nobody',
    ]),
  );
  const meetings = rows.rows.map(({ position, release }) => {
    const [writer, reader] = [writers.get(position), release === null ? 'present' : 'next'];
    // What the next release reads is what was written: its field, or the default where there was none.
    if (reader === 'next') expect(release).toBe(writer === 'next' ? 'next' : 'none');
    return `written by ${writer}, stored by ${reader}`;
  });
  return [...new Set(meetings)].sort();
}

test('old and new producers and consumers run together, and every event is stored and archived once', async () => {
  const traffic = startTraffic();
  const [presentService, nextService] = run.replicas('ingestion-service') as [RunningProcess, RunningProcess];
  await Promise.all(processes.map((name) => run.replicas(name)[0]!.start()));
  traffic.open(presentService);

  // The order of docs/schema-evolution.md: schema, consumers, producers.
  await deploy(next);
  const schemaIds = new Map([
    [await idOf(repositoryRoot), 'present'],
    [await idOf(next.root), 'next'],
  ]);
  expect(schemaIds.size).toBe(2);
  await Promise.all(groups.map((group) => run.replicas(group)[1]!.start()));
  await nextService.start();
  traffic.open(nextService);
  const allMeetings = ['next', 'present'].flatMap((writer) =>
    ['next', 'present'].map((reader) => `written by ${writer}, stored by ${reader}`),
  );
  await until(
    'each release to read what each wrote',
    async () => (await listMeetings(schemaIds)).length === allMeetings.length,
    { deadlineMs: 60_000, intervalMs: 1_000 },
  );

  // The way back is open: the present release starts again beside the next one.
  await traffic.close(presentService);
  await presentService.stop();
  await presentService.start();
  traffic.open(presentService);
  await Promise.all(groups.map((group) => run.replicas(group)[0]!.stop()));
  await traffic.close(presentService);
  await presentService.stop();

  const acknowledged = await traffic.stop();
  const { kafka, namespace } = run.topics;
  const { pool } = run.database;
  await waitUntilCaughtUp({ kafka, pool, namespace, wanted: groups });
  expect(run.unexpectedEnds).toEqual([]);
  expect(await run.topics.readAll('eventsDeadLetter')).toEqual([]);
  expect(await readStoredEvents(pool)).toEqual(acknowledged);
  const archive = await readArchive(pool, run.objectStore);
  expect(archive.events).toEqual(acknowledged);
  expect(archive.records).toBe(acknowledged.length);
  expect(await listMeetings(schemaIds)).toEqual(allMeetings);
});

describe('a schema with a renamed field', () => {
  const problem = 'field "kind" is not in those records and has no default';

  test('is refused by the check of `npm run check`, which names the field', () => {
    const checked = spawnSync(process.execPath, ['schemas/history/main.ts'], {
      cwd: incompatible.root,
      encoding: 'utf8',
    });
    expect(checked.stdout).toContain(
      `event.avsc is not BACKWARD_TRANSITIVE: it cannot read records of version 1: ${problem}`,
    );
    expect(checked.status).toBe(1);
  });

  test('is refused by the registry, and the deployment names the field', async () => {
    await expect(deploy(incompatible)).rejects.toThrow(
      new RegExp(`registering ${eventsSubject()}: the registry refuses .* BACKWARD_TRANSITIVE: .*${problem}`),
    );
    await expect(idOf(incompatible.root)).rejects.toThrow('not registered');
  });
});
