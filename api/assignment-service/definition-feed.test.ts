// What a change of the definitions tells the clients that follow them.
import { expect, test } from 'vitest';
import { compileExperiment } from '#domain/experiment/compile-experiment.ts';
import type { Experiment } from '#domain/experiment/experiment.ts';
import { sampleExperiment, treatmentId } from '#domain/experiment/experiment-samples.ts';
import { asExperimentId, asExperimentKey } from '#domain/experiment/ids.ts';
import { createDefinitionIndex } from '#producers/definition-store/live-definitions.ts';
import { createDefinitionFeed } from './definition-feed.ts';

const indexOf = (...experiments: Experiment[]) =>
  createDefinitionIndex(
    experiments.map((experiment) => ({ experiment, updatedAtMs: 0 })),
    compileExperiment,
  );
const one = sampleExperiment();
const other = sampleExperiment({
  experimentId: asExperimentId('7f1e0f52-5b6f-5c7e-9a47-3b1d2c4e5f60'),
  experimentKey: asExperimentKey('another'),
});

function follow(feed: ReturnType<typeof createDefinitionFeed>) {
  const changes: { from: string; etag: string; experiments: { key: string }[]; removed: string[] }[] = [];
  const stop = feed.subscribe((change) => changes.push(JSON.parse(change)));
  return { changes, stop };
}

test('a change holds what is new or different and the keys that are gone, and continues the state before it', () => {
  const feed = createDefinitionFeed();
  const empty = feed.current().etag;
  const { changes, stop } = follow(feed);
  feed.publish(indexOf(one, other));
  feed.publish(indexOf(one, { ...other, version: 2, coverage: 5_000 }));
  feed.publish(indexOf({ ...other, version: 2, coverage: 5_000 }));
  stop();
  feed.publish(indexOf(one));
  expect(changes.map(({ experiments }) => experiments.map(({ key }) => key))).toEqual([
    ['another', 'checkout-button'],
    ['another'],
    [],
  ]);
  expect(changes.map(({ removed }) => removed)).toEqual([[], [], ['checkout-button']]);
  expect(changes.map(({ from }) => from)).toEqual([empty, changes[0]?.etag, changes[1]?.etag]);
});

test('nothing is said when only the name changed, which clients do not see', () => {
  const feed = createDefinitionFeed();
  feed.publish(indexOf(one));
  const { changes } = follow(feed);
  feed.publish(indexOf({ ...one, name: 'Another name' }));
  expect(changes).toEqual([]);
});

test('the ETag depends on the content only', () => {
  const [feed, sameFeed] = [createDefinitionFeed(), createDefinitionFeed()];
  feed.publish(indexOf(one, other));
  sameFeed.publish(indexOf(other));
  sameFeed.publish(indexOf(other, one));
  expect(sameFeed.current()).toEqual(feed.current());
});

test('archived experiments are not sent, and drafts only for their test units', () => {
  const feed = createDefinitionFeed();
  const keys = (): string[] => JSON.parse(feed.current().text).experiments.map(({ key }: { key: string }) => key);
  feed.publish(indexOf({ ...one, status: 'archived' }, { ...other, status: 'draft' }));
  expect(keys()).toEqual([]);
  feed.publish(indexOf({ ...other, status: 'draft', forcedVariants: { 'tester-1': treatmentId } }));
  expect(keys()).toEqual(['another']);
});
