// Tests that docs/planning.md says what the code does: prices, weights, scores and violations.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ingredientGroups } from './ingredient-lexicon.ts';
import { alignmentWeights } from './plan-scores.ts';
import { defaultPlannerConfig } from './rule-based-planner.ts';

const page = readFileSync(join(import.meta.dirname, '../../docs/planning.md'), 'utf8');

/** Rows of the table whose header begins with the given cells. */
function tableUnder(...header: string[]): string[][] {
  const lines = page.split('\n');
  const start = lines.indexOf(`| ${header.join(' | ')} |`);
  const end = lines.findIndex((line, index) => index > start && !line.startsWith('|'));
  return lines.slice(start + 2, end).map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

test('lists the price of every ingredient group', () => {
  const prices = Object.entries(ingredientGroups).map(([name, group]) => [name, group.usdPerServing.toFixed(2)]);
  expect(tableUnder('group', 'USD per serving')).toEqual(prices);
});

test('lists the weights of every mode', () => {
  const rows = Object.entries(alignmentWeights).map(([mode, weights]) => [
    mode,
    ...[weights.preference, weights.pantry, weights.ease, weights.thrift].map(String),
  ]);
  expect(tableUnder('mode', 'preference', 'pantry', 'ease', 'thrift')).toEqual(rows);
});

test('names the settings of the rule-based planner', () => {
  const { temperature, repetitionPenalty } = defaultPlannerConfig;
  expect(page.replaceAll('\n', ' ')).toContain(
    `softmax (temperature ${temperature}) over alignment, less ${repetitionPenalty} `,
  );
});
