// The YAML tree passes Metabase's own validator, which also refuses what is wrong.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { catalogue, listCards } from '#analytics/metabase/catalogue.ts';
import { generateMetabaseTree, treeFolder } from './metabase-tree.ts';

const root = join(import.meta.dirname, '..', '..');
let scratch: string;
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'trialstream-tree-'));
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

function validate(folder: string): { ok: boolean; output: string } {
  const program = join(root, 'node_modules', '.bin', 'representations');
  try {
    const output = execFileSync(program, ['validate-schema', '--folder', folder], { encoding: 'utf8', stdio: 'pipe' });
    return { ok: true, output };
  } catch (error) {
    const { stdout, stderr } = error as { stdout: string; stderr: string };
    return { ok: false, output: stdout + stderr };
  }
}

it('is valid, every card, model and dashboard of it', () => {
  const count = listCards(catalogue).length + catalogue.models.length + catalogue.dashboards.length + 1;
  expect(validate(join(root, treeFolder))).toEqual({
    ok: true,
    output: expect.stringContaining(`${count} passed, 0 failed`),
  });
});

it('would be refused with an unknown display or a card that is wider than the grid', () => {
  for (const { path, text } of generateMetabaseTree(catalogue)) {
    const file = join(scratch, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text.replace('display: line', 'display: linechart').replace('size_x: 24', 'size_x: 30'));
  }
  const { ok, output } = validate(join(scratch, treeFolder));
  expect(ok).toBe(false);
  expect(output).toContain('/display');
  expect(output).toContain('size_x');
});
