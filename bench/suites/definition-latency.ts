// How long a change of a definition takes to every connected client of two assignment service processes.
import { type Finding, toLimitFinding } from '../findings.ts';
import type { BenchOptions } from '../options.ts';
import type { BenchStack } from '../support/bench-stack.ts';

const limitMs = 200;
const changesPerRepetition = 50;
const warmUpChanges = 10;
const clientsPerInstance = 50;

type Instance = 'the same instance' | 'the other instance';
type Post = (path: string, body: object) => Promise<{ version: number }>;

/** Follows the stream of an instance; calls back with the version of the experiment in each change. */
async function openStream(
  url: string,
  options: { key: string; signal: AbortSignal; onVersion: (version: number) => void },
): Promise<void> {
  const response = await fetch(`${url}/v1/definitions/stream`, {
    headers: { authorization: `Bearer ${options.key}` },
    signal: options.signal,
  });
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
          options.onVersion((JSON.parse(data) as { experiments: { version: number }[] }).experiments[0]!.version);
      }
      const { value, done } = await reader.read();
      if (done) return;
      text += value;
    }
    // A stream that breaks leaves the change it should have brought unanswered: the wait for it ends with an error.
  })().catch(() => undefined);
}

/** Switches one experiment off and on; times are from the moment the request is sent, so that the commit is part of them. */
export async function measureDefinitionLatency(
  bench: BenchStack,
  options: BenchOptions,
  onProgress: (text: string) => void,
): Promise<Finding[]> {
  if (!options.only.has('definitions')) return [];
  await using writer = await bench.startProcess('assignment-service');
  await using other = await bench.startProcess('assignment-service');
  const streams = new AbortController();
  const key = bench.access.adminKey;
  const post: Post = async (path, body) => {
    const answer = await fetch(`${writer.url}/v1/experiments${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
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
  let samples: Readonly<Record<Instance, number[]>> = { 'the same instance': [], 'the other instance': [] };
  const listen = (url: string, instance: Instance) =>
    openStream(url, {
      key,
      signal: streams.signal,
      onVersion: (seen) => {
        if (seen !== version + 1) return;
        samples[instance].push(performance.now() - sentAtMs);
        waiting -= 1;
        if (waiting === 0) everybodyHasIt.resolve();
      },
    });
  const change = async (mode: string): Promise<void> => {
    waiting = 2 * clientsPerInstance;
    everybodyHasIt = Promise.withResolvers();
    sentAtMs = performance.now();
    const late = setTimeout(
      () => everybodyHasIt.reject(new Error('a change did not reach every client in 30 s')),
      30_000,
    );
    try {
      const body = { mode, expected_version: version, reason: 'measuring' };
      const [answered] = await Promise.all([post('/definition-latency/serving', body), everybodyHasIt.promise]);
      version = answered.version;
    } finally {
      clearTimeout(late);
    }
  };
  const changeOften = async (count: number): Promise<void> => {
    for (let index = 0; index < count; index += 1) await change(index % 2 === 0 ? 'off' : 'as_assigned');
  };

  const p99Ms: Record<Instance, number[]> = { 'the same instance': [], 'the other instance': [] };
  try {
    await Promise.all(
      Array.from({ length: clientsPerInstance }, () => [
        listen(writer.url, 'the same instance'),
        listen(other.url, 'the other instance'),
      ]).flat(),
    );
    await changeOften(warmUpChanges);
    for (let repetition = 0; repetition < options.repetitions; repetition += 1) {
      samples = { 'the same instance': [], 'the other instance': [] };
      await changeOften(changesPerRepetition);
      for (const instance of Object.keys(p99Ms) as Instance[]) {
        const sorted = samples[instance].toSorted((a, b) => a - b);
        p99Ms[instance].push(sorted[Math.floor(sorted.length * 0.99)]!);
      }
      onProgress(
        `${repetition + 1}/${options.repetitions} a change to clients of the other instance: p99 ${p99Ms['the other instance'].at(-1)!.toFixed(1)} ms`,
      );
    }
  } finally {
    streams.abort();
  }
  return (Object.keys(p99Ms) as Instance[]).map((instance) =>
    toLimitFinding(
      `a change of a definition to ${clientsPerInstance} clients of ${instance}, p99`,
      { unit: 'ms', values: p99Ms[instance] },
      { limit: limitMs, exclusive: true },
    ),
  );
}
