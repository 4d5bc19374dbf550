// Tests of folding: one letter per failed record, whatever was published twice, retried or discarded.
import { describe, expect, it } from 'vitest';
import type { DeadLetterRecord } from '#schemas/generated/records.ts';
import {
  type DeadLetterAction,
  foldDeadLetters,
  formatName,
  matchesFilter,
  originHeader,
  parsePosition,
} from './dead-letter.ts';

const failure = (change: Partial<DeadLetterRecord> = {}): DeadLetterRecord => ({
  group_id: 'postgres-sink',
  source_topic: 'exp.events.v1',
  source_partition: 3,
  source_offset: 70,
  source_timestamp: 1_000,
  stage: 'sink',
  reason: 'conflict',
  error: 'other content',
  event_id: null,
  experiment_ids: [],
  key: null,
  value: Buffer.from('x'),
  headers: [],
  failed_at: 2_000,
  ...change,
});
const retriedAs = (change: Partial<DeadLetterRecord>): DeadLetterRecord =>
  failure({ headers: [{ name: originHeader, value: Buffer.from('exp.events.v1:3:70') }], ...change });
const action = (offset: bigint, name: DeadLetterAction['action']): DeadLetterAction => ({
  groupId: 'postgres-sink',
  topic: 'exp.events.v1',
  partition: 3,
  offset,
  action: name,
});

describe('foldDeadLetters', () => {
  it('takes a failure that was published twice as one', () => {
    const letters = foldDeadLetters([failure(), failure({ failed_at: 3_000 })], []);
    expect(letters).toHaveLength(1);
    expect(letters[0]).toMatchObject({ state: 'open', positions: [{ offset: 70n }], lastFailedAt: new Date(3_000) });
  });

  it('keeps groups and positions apart', () => {
    const letters = foldDeadLetters(
      [failure(), failure({ group_id: 'dataset-builder' }), failure({ source_offset: 71 })],
      [],
    );
    expect(letters.map(formatName)).toEqual([
      'dataset-builder:exp.events.v1:3:70',
      'postgres-sink:exp.events.v1:3:70',
      'postgres-sink:exp.events.v1:3:71',
    ]);
  });

  it('opens a retried letter again when its record fails again, and not before', () => {
    const retried = [action(70n, 'retried')];
    expect(foldDeadLetters([failure()], retried)[0]!.state).toBe('retried');
    const again = retriedAs({ source_offset: 95, source_timestamp: 5_000, failed_at: 6_000, reason: 'poison' });
    const [letter, ...others] = foldDeadLetters([again, failure()], retried);
    expect(others).toEqual([]);
    expect(letter).toMatchObject({ state: 'open', reason: 'poison', positions: [{ offset: 70n }, { offset: 95n }] });
    expect(formatName(letter!)).toBe('postgres-sink:exp.events.v1:3:70');
    expect(foldDeadLetters([again, failure()], [...retried, action(95n, 'discarded')])[0]!.state).toBe('discarded');
  });

  it('takes a header that is no position for none', () => {
    const odd = failure({ headers: [{ name: originHeader, value: Buffer.from('somewhere') }] });
    expect(foldDeadLetters([odd], [])[0]!.origin).toEqual({ topic: 'exp.events.v1', partition: 3, offset: 70n });
  });
});

describe('matchesFilter', () => {
  const [letter] = foldDeadLetters([failure({ experiment_ids: ['e1'] })], []);

  it.each([
    [{}, true],
    [{ groupIds: ['postgres-sink'] }, true],
    [{ groupIds: ['dataset-builder'] }, false],
    [{ reasons: ['poison'] }, false],
    [{ experimentId: 'e1' }, true],
    [{ experimentId: 'e2' }, false],
    [{ from: new Date(2_000), to: new Date(2_001) }, true],
    [{ to: new Date(2_000) }, false],
    [{ from: new Date(2_001) }, false],
    [{ states: ['retried' as const] }, false],
    [{ names: ['postgres-sink:exp.events.v1:3:70'] }, true],
  ])('with %j gives %s', (filter, expected) => {
    expect(matchesFilter(letter!, filter)).toBe(expected);
  });
});

describe('parsePosition', () => {
  it('reads what formatPosition writes, and nothing else', () => {
    expect(parsePosition('a.b:c:1:22')).toEqual({ topic: 'a.b:c', partition: 1, offset: 22n });
    for (const text of ['', 'topic', 'topic:1', 'topic:1:x', ':1:2', 'topic:-1:2'])
      expect(parsePosition(text)).toBeNull();
  });
});
