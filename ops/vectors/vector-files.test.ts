// `npm run vectors`: our own file, and the command on files of several kinds: a wrong expectation fails, and more cases count.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { assignmentVectors } from './assignment.ts';

const files = {
  'murmur3_32.json': '../shared/vectors/hash/murmur3_32.json',
  'conditions.json': '../shared/vectors/targeting/conditions.json',
  'vectors.json': 'domain/assignment/vectors.json',
};
const read = (name: keyof typeof files) => JSON.parse(readFileSync(files[name], 'utf8'));

test('every row of our own vectors is checked', () => {
  const content = read('vectors.json');
  const sections = Object.values(content).filter((section) => typeof section === 'object') as { rows: unknown[][] }[];
  const rowCount = sections.reduce((sum, { rows }) => sum + rows.length, 0);
  // One more: the namespace of ids.
  expect(assignmentVectors.run(content)).toMatchObject({ passed: rowCount + 1, failed: 0 });
  for (const { rows } of sections) for (const row of rows) row[row.length - 1] = 'something else';
  expect(assignmentVectors.run(content)).toMatchObject({ passed: 1, failed: rowCount });
});

test('the command finds files at any depth, counts added cases, and ends with the sum', () => {
  const folder = mkdtempSync(join(tmpdir(), 'trialstream-vectors-'));
  const run = () => {
    const { stdout, status } = spawnSync(process.execPath, ['ops/vectors.ts', folder], { encoding: 'utf8' });
    return { status, lines: stdout.trimEnd().split('\n') };
  };
  try {
    for (const [name, path] of Object.entries(files))
      cpSync(path, join(folder, name === 'vectors.json' ? '.' : 'a/b', name));
    const before = run();
    const count = Number(/^(\d+) passed, 0 failed$/.exec(before.lines.at(-1) ?? '')?.[1]);
    expect([before.status, count > 6_000]).toEqual([0, true]);
    const conditions = read('conditions.json');
    conditions.push(
      ['ours', { age: { $gt: 17 } }, { age: 18 }, true],
      ['wrong', { age: { $gt: 17 } }, { age: 17 }, true],
    );
    writeFileSync(join(folder, 'a/b/conditions.json'), JSON.stringify(conditions));
    const after = run();
    expect([after.status, after.lines.at(-1)]).toEqual([1, `${count + 1} passed, 1 failed`]);
    expect(after.lines.find((line) => line.includes('failed: '))).toContain('wrong');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
