// Tests the tree that lineage prints: a stranger reads it, a terminal survives it, and what is missing cannot be overlooked.
import { describe, expect, it } from 'vitest';
import { countLineageProblems, createNode, formatLineage, type LineageNode } from './lineage-tree.ts';

const dataset = createNode({
  kind: 'dataset',
  id: 'abc',
  text: '3 rows',
  problems: ['test.parquet is gone'],
  notes: ['described by MLflow run 1'],
});
const model = createNode({
  kind: 'model',
  id: 'm/1',
  text: 'stage candidate',
  arrows: [{ relation: 'on', to: dataset }],
});
const of = createNode({ kind: 'policy-version', id: 'planner@2', text: '' });
const lineageOf = (node: LineageNode) => ({ of, comesFrom: [{ relation: 'is', to: node }], becameOf: [] });

describe('the lineage of something', () => {
  it('is printed as two trees, with problems in their place and counted', () => {
    expect(formatLineage(lineageOf(model))).toBe(`policy version planner@2

Where it comes from
└─ is model m/1: stage candidate
   └─ on dataset abc: 3 rows
         !! test.parquet is gone
         described by MLflow run 1

What came of it
└─ nothing that is recorded

1 problem, marked with !!`);
  });

  it('keeps the lines of neighbours apart', () => {
    const two = { of, becameOf: [], comesFrom: [model, dataset].map((to) => ({ relation: 'is', to })) };
    const lines = formatLineage(two).split('\n').slice(3, 11);
    expect(lines.map((line) => line.slice(0, 6))).toEqual([
      '├─ is ',
      '│  └─ ',
      '│     ',
      '│     ',
      '└─ is ',
      '      ',
      '      ',
      '',
    ]);
  });

  it('counts what is wrong anywhere, and shows control characters of an id', () => {
    expect(countLineageProblems(lineageOf(model))).toBe(1);
    expect(countLineageProblems({ of: dataset, comesFrom: [{ relation: 'is', to: model }], becameOf: [] })).toBe(2);
    const strange = createNode({ kind: 'event', id: 'a\nb\u001b[31m', text: '' });
    expect(formatLineage(lineageOf(strange))).toContain('└─ is event a\\nb\\u001b[31m\n');
  });
});
