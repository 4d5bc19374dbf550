// Tests which version was in production when, as the ledger tells it.
import { expect, test } from 'vitest';
import { listReigns, type StatusChange, selectReigns } from './champions.ts';

const change = (day: number, version: number, status: string | null, action = 'finish'): StatusChange => ({
  at: `2026-03-0${day}T00:00:00.000Z`,
  actor: 'tester',
  action,
  reason: 'a test',
  policyVersion: `planner@${version}`,
  model: `planner_model/${version}`,
  status,
});
const changes = [
  change(1, 1, 'production', 'bootstrap'),
  change(2, 2, null, 'step'),
  change(3, 1, 'retired', 'retire'),
  change(3, 2, 'production'),
  // Taken back.
  change(5, 2, 'retired', 'roll-back'),
  change(5, 1, 'production', 'reinstate'),
];
const on = (day: number): string[] =>
  selectReigns(listReigns(changes), Date.UTC(2026, 2, day)).map(({ policyVersion }) => policyVersion);

test('every version is in production from its row until the row that takes it away, and may come back', () => {
  expect(
    listReigns(changes).map(({ policyVersion, from, to }) => [policyVersion, from.slice(9, 10), to?.slice(9, 10)]),
  ).toEqual([
    ['planner@1', '1', '3'],
    ['planner@2', '3', '5'],
    ['planner@1', '5', undefined],
  ]);
});

test('a moment has the version that entered before it, its own beginning included and its end not', () => {
  expect([on(0), on(1), on(2), on(3), on(4), on(5), on(9)]).toEqual([
    [],
    ['planner@1'],
    ['planner@1'],
    ['planner@2'],
    ['planner@2'],
    ['planner@1'],
    ['planner@1'],
  ]);
});

test('a repeated row changes nothing, and one that takes away what was not there is nothing', () => {
  const repeated = [change(1, 1, 'production'), change(2, 1, 'production'), change(3, 2, 'retired')];
  expect(listReigns(repeated)).toMatchObject([{ from: changes[0]!.at, to: null }]);
});
