// Measures how long a change of a definition takes to every connected client of two assignment service processes.
//
// node bench/definition-latency.ts [--changes 200] [--clients 100]
import { parseArgs } from 'node:util';
import type { LocalStack } from '#infra/local/stack.ts';
import { deriveLocalAccess } from '#infra/system/local-access.ts';
import { startSystem } from '#infra/system/system.ts';
import { startBenchStack } from './support/bench-stack.ts';

/** From the moment the request is sent, so that the commit is part of it, in milliseconds. */
export type LatencySummary = { readonly medianMs: number; readonly p99Ms: number; readonly maxMs: number };
export type DefinitionLatency = {
  readonly changes: number;
  readonly clientsPerInstance: number;
  /** Until the request that changes the definition is answered. */
  readonly answered: LatencySummary;
  /** Until a client of the instance that made the change has it. */
  readonly sameInstance: LatencySummary;
  readonly otherInstance: LatencySummary;
};

function summarize(samplesMs: readonly number[]): LatencySummary {
  const sorted = samplesMs.toSorted((a, b) => a - b);
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
  return { medianMs: at(0.5), p99Ms: at(0.99), maxMs: at(1) };
}

/** Follows the stream of an instance; calls back with the version of the experiment in each change. */
async function openStream(url: string, key: string, onVersion: (version: number) => void): Promise<void> {
  const response = await fetch(`${url}/v1/definitions/stream`, { headers: { authorization: `Bearer ${key}` } });
  if (response.status !== 200) throw new Error(`the stream was answered with ${response.status}`);
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let text = (await reader.read()).value ?? '';
  void (async () => {
    for (;;) {
      const messages = text.split('\n\n');
      text = messages.pop()!;
      for (const message of messages) {
        const data = /^event: change\ndata: (.*)$/m.exec(message)?.[1];
        if (data !== undefined)
          onVersion((JSON.parse(data) as { experiments: { version: number }[] }).experiments[0]!.version);
      }
      const { value, done } = await reader.read();
      if (done) return;
      text += value;
    }
  })().catch(() => undefined);
}

/** Starts two service processes on the stack, and one experiment that is switched off and on. */
export async function measureDefinitionLatency(
  stack: Pick<LocalStack, 'endpoints' | 'localDir'>,
  options: { changes: number; clientsPerInstance: number },
): Promise<DefinitionLatency> {
  const { changes, clientsPerInstance } = options;
  await using system = await startSystem({
    endpoints: stack.endpoints,
    localDir: stack.localDir,
    ports: 'free',
    replicas: {
      'assignment-service': 2,
      'ingestion-service': 0,
      'postgres-sink': 0,
      'parquet-archiver': 0,
      'metrics-aggregator': 0,
      'dataset-builder': 0,
    },
  });
  const { adminKey } = deriveLocalAccess(stack.endpoints);
  const [writer, other] = [...system.processes.values()].map(({ url }) => url) as [string, string];
  const post = async (path: string, body: object): Promise<{ version: number }> => {
    const answer = await fetch(`${writer}/v1/experiments${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${adminKey}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    const parsed = await answer.json();
    if (!answer.ok) throw new Error(`${path} was answered with ${answer.status}: ${JSON.stringify(parsed)}`);
    return parsed as { version: number };
  };
  const variants = ['control', 'treatment'].map((name, index) => ({ name, allocation: 0.5, is_control: index === 0 }));
  let { version } = await post('', { key: 'definition-latency', unit_type: 'user', status: 'running', variants });

  let sentAtMs = 0;
  let waiting = 0;
  let everybodyHasIt = Promise.withResolvers<void>();
  const samples = { same: [] as number[], other: [] as number[], answered: [] as number[] };
  const listen = (url: string, samplesMs: number[]) =>
    openStream(url, adminKey, (seen) => {
      if (seen !== version + 1) return;
      samplesMs.push(performance.now() - sentAtMs);
      waiting -= 1;
      if (waiting === 0) everybodyHasIt.resolve();
    });
  await Promise.all(
    Array.from({ length: clientsPerInstance }, () => [
      listen(writer, samples.same),
      listen(other, samples.other),
    ]).flat(),
  );
  const change = async (mode: string): Promise<void> => {
    waiting = 2 * clientsPerInstance;
    everybodyHasIt = Promise.withResolvers();
    sentAtMs = performance.now();
    const body = { mode, expected_version: version, reason: 'measuring' };
    const answered = await post('/definition-latency/serving', body);
    samples.answered.push(performance.now() - sentAtMs);
    await everybodyHasIt.promise;
    version = answered.version;
  };
  const warmUp = 10;
  for (let index = 0; index < changes + warmUp; index += 1) {
    if (index === warmUp) for (const list of Object.values(samples)) list.length = 0;
    await change(index % 2 === 0 ? 'off' : 'as_assigned');
  }
  return {
    changes,
    clientsPerInstance,
    answered: summarize(samples.answered),
    sameInstance: summarize(samples.same),
    otherInstance: summarize(samples.other),
  };
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { changes: { type: 'string', default: '200' }, clients: { type: 'string', default: '100' } },
  });
  await using resources = new AsyncDisposableStack();
  const { stack } = await startBenchStack(resources, (text) => process.stderr.write(`${text}\n`));
  const result = await measureDefinitionLatency(stack, {
    changes: Number(values.changes),
    clientsPerInstance: Number(values.clients),
  });
  const line = (name: string, { medianMs, p99Ms, maxMs }: LatencySummary): string =>
    `${name.padEnd(34)} median ${medianMs.toFixed(1)} ms, p99 ${p99Ms.toFixed(1)} ms, max ${maxMs.toFixed(1)} ms\n`;
  process.stdout.write(
    `${result.changes} changes, ${result.clientsPerInstance} clients on each of two processes\n` +
      line('answer to the change', result.answered) +
      line('clients of the same process', result.sameInstance) +
      line('clients of the other process', result.otherInstance),
  );
}

if (import.meta.main) await main();
