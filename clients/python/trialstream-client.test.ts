// The Python client: its own tests, the vectors, and the TypeScript rules on random conditions, definitions and units.
import { execFile, spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type ClientDefinition, fromClientDefinition } from '#domain/experiment/client-definition.ts';
import { compileExperiment } from '#domain/experiment/compile-experiment.ts';
import { evaluate, type StoredAssignment } from '#domain/experiment/evaluate.ts';
import type { UnitId, UnitType } from '#domain/experiment/ids.ts';
import { compileCondition } from '#domain/targeting/compile-condition.ts';
import type { Condition, JsonValue } from '#domain/targeting/condition.ts';

const folder = import.meta.dirname;
const seed = 34;
const vectorFiles = [
  'domain/assignment/vectors.json',
  '../shared/vectors/hash/murmur3_32.json',
  '../shared/vectors/targeting/conditions.json',
];

/** Runs Python code with the client as `client` and JSON as `given`; what it assigns to `answer` comes back. */
async function ask<T>(code: string, given: unknown): Promise<T> {
  const script = `import json, sys\nsys.path.insert(0, ${JSON.stringify(folder)})\nimport trialstream_client as client\ngiven = json.load(sys.stdin)\n${code}\njson.dump(answer, sys.stdout)`;
  const child = promisify(execFile)('python3', ['-B', '-c', script], { maxBuffer: 64 * 1024 * 1024 });
  child.child.stdin?.end(JSON.stringify(given));
  return JSON.parse((await child).stdout) as T;
}

test('its own tests pass', { timeout: 60_000 }, () => {
  const { stderr, status } = spawnSync('python3', ['-B', '-W', 'error::ResourceWarning', '-m', 'unittest'], {
    cwd: folder,
    encoding: 'utf8',
  });
  expect(status, stderr).toBe(0);
  expect(stderr).toMatch(/Ran \d\d tests/);
});

describe('vectors', () => {
  const run = (files: readonly string[]) => {
    const { stdout, stderr, status } = spawnSync('python3', ['-B', join(folder, 'run_vectors.py'), ...files], {
      encoding: 'utf8',
    });
    return { output: stdout + stderr, last: stdout.trimEnd().split('\n').at(-1), status };
  };

  test('hashes, buckets, variants, layers, holdouts, ids and conditions are all as expected', () => {
    const { output, last, status } = run(vectorFiles);
    expect(status, output).toBe(0);
    expect(Number(/^(\d+) passed, 0 failed$/.exec(last ?? '')?.[1])).toBeGreaterThan(6_000);
  });

  test('a case with another expectation fails', async () => {
    const temporary = await mkdtemp(join(tmpdir(), 'trialstream-vectors-'));
    try {
      const vectors = JSON.parse(await readFile(vectorFiles[0]!, 'utf8'));
      const changed = Object.values(vectors).filter((section) => typeof section === 'object') as {
        rows: unknown[][];
      }[];
      for (const { rows } of changed) rows[0]![rows[0]!.length - 1] = 'something else';
      await writeFile(join(temporary, 'vectors.json'), JSON.stringify(vectors));
      expect(run([join(temporary, 'vectors.json')])).toMatchObject({
        status: 1,
        last: expect.stringMatching(new RegExp(` passed, ${changed.length} failed$`)),
      });
    } finally {
      await rm(temporary, { recursive: true, force: true });
    }
  });
});

const scalar = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom('a', 'b', 'A', 'zebra', '1', '8', '10', '1.2.3', '') },
  fc.constantFrom('0', ' 5 ', '0x1f', '1e3', '-5', '.5', '5.', 'Infinity', 'null', 'true', '1,2', '[object Object]'),
  fc.constantFrom('é', 'É', '😀', '\uffff', '\ud800', '\u212a', 'k', 'ſ', 'line\nbreak', '\u00a0', 'ΑΣ', 'İ'),
  fc.constantFrom('v1.2.3', '1.2.3-beta', '1.2.3-beta.2', '1.2.3+build', '1.10', '0.9.0', 'a.b.c', '1.2.3\n+x'),
  fc.constantFrom(0, 1, -1, 5, 8, 10, 1.5, 0.1, 1e21, 1e-7, 1.5e-9, 123456789012345680000, 2 ** 53, 1e300),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.constantFrom(true, false, null),
) as fc.Arbitrary<JsonValue>;
const value = fc.oneof(
  { weight: 4, arbitrary: scalar },
  fc.array(scalar, { maxLength: 3 }),
  fc.array(fc.dictionary(fc.constantFrom('a', 'b'), scalar, { maxKeys: 2 }), { maxLength: 2 }),
  fc.dictionary(fc.constantFrom('a', 'b', '2', '1', 'length', 'constructor'), scalar, { maxKeys: 3 }),
) as fc.Arbitrary<JsonValue>;
const pattern = fc.oneof(
  fc.constantFrom(
    '^a',
    'b$',
    'z.b',
    '[a-c]+',
    '^\\d+$',
    '\\s',
    '\\S',
    '[^\\s]',
    '\\bb',
    '(a|b)?c*',
    '^.$',
    '^..$',
    'é',
  ),
  fc.constantFrom(
    '^$',
    '(?:a)b',
    '(?=a)a',
    '(?!a)z',
    '\\.',
    '1{1,2}',
    '[\\w.-]+',
    '[é-ü]',
    '😀',
    '^[^a]$',
    '\\u0041',
    '.*',
  ),
  fc.constantFrom(
    '[',
    '(',
    ')',
    '*a',
    'a**',
    'a{2}{3}',
    '[b-a]',
    '{',
    'a{,2}',
    ']',
    '}',
    '(?<n>a)',
    '(?<=a)b',
    '(a)\\1',
    '[\\w-a]',
  ),
  fc.string({
    unit: fc.constantFrom(
      'a',
      'b',
      'K',
      '.',
      '*',
      '+',
      '?',
      '(',
      ')',
      '[',
      ']',
      '|',
      '^',
      '$',
      '\\',
      'd',
      '1',
      '{',
      '}',
      '-',
    ),
  }),
);
const list = fc.oneof({ weight: 9, arbitrary: fc.array(scalar, { maxLength: 3 }) }, value);
const operator = fc.oneof(
  fc.tuple(fc.constantFrom('$eq', '$ne', '$lt', '$lte', '$gt', '$gte', '$exists', '$size'), value),
  fc.tuple(fc.constantFrom('$veq', '$vne', '$vlt', '$vlte', '$vgt', '$vgte'), scalar),
  fc.tuple(fc.constantFrom('$in', '$nin', '$ini', '$nini', '$all', '$alli'), list),
  fc.tuple(fc.constantFrom('$inGroup', '$notInGroup'), fc.constantFrom('known', 'unknown')),
  fc.tuple(fc.constantFrom('$regex', '$regexi'), fc.oneof(pattern, scalar)),
  fc.tuple(fc.constant('$type'), fc.constantFrom('string', 'number', 'boolean', 'array', 'object', 'null')),
  fc.tuple(fc.constant('$unheardOf'), scalar),
);
const { condition } = fc.letrec<{ condition: Condition; operators: JsonValue }>((tie) => ({
  operators: fc
    .array(
      fc.oneof(
        { weight: 8, arbitrary: operator },
        fc.tuple(fc.constantFrom('$not', '$size', '$elemMatch'), tie('operators')),
        fc.tuple(fc.constant('$elemMatch'), tie('condition')),
      ),
      { minLength: 1, maxLength: 2 },
    )
    .map((entries) => Object.fromEntries(entries) as Condition),
  condition: fc
    .array(
      fc.oneof(
        { depthSize: 'small' },
        {
          weight: 6,
          arbitrary: fc.tuple(
            fc.constantFrom('a', 'b', 'a.b', 'a.0', 'a.length', '$groups', 'constructor', ''),
            fc.oneof({ weight: 4, arbitrary: tie('operators') }, value),
          ),
        },
        fc.tuple(fc.constantFrom('$and', '$or', '$nor'), fc.array(tie('condition'), { maxLength: 2 })),
        fc.tuple(fc.constant('$not'), tie('condition')),
      ),
      { maxLength: 2 },
    )
    .map((entries) => Object.fromEntries(entries) as Condition),
}));
const attributes = fc.dictionary(fc.constantFrom('a', 'b', '$groups', 'constructor', ''), value, { maxKeys: 4 });
/** As a client gets it: without -0, which JSON does not know. */
const asJson = <T>(parsed: T): T => JSON.parse(JSON.stringify(parsed)) as T;

test('conditions hold for the same attributes, or are left to the service', { timeout: 60_000 }, async () => {
  const groups = { known: ['a', 1, null, '1.2.3'] };
  const cases = asJson(fc.sample(fc.tuple(condition, attributes), { seed, numRuns: 4_000 }));
  const actual = await ask<(boolean | null)[]>(
    `def holds(case):
    try:
        return client.compile_condition(case[0], given["groups"])(case[1])
    except client._UnsupportedError:
        return None
answer = [holds(case) for case in given["cases"]]`,
    { cases, groups },
  );
  const wrong = cases
    .map(([given, unit], index) => ({
      given,
      unit,
      python: actual[index],
      typescript: compileCondition(given, groups)(unit),
    }))
    .filter(({ python, typescript }) => python !== null && python !== typescript);
  expect(wrong.slice(0, 5)).toEqual([]);
  expect(actual.filter((holds) => holds === null).length / cases.length).toBeLessThan(0.1);
  expect(actual.filter((holds) => holds === true).length).toBeGreaterThan(400);
});

const variantIds = ['11111111-1111-5111-8111-111111111111', '22222222-2222-5222-8222-222222222222'];
const definition: fc.Arbitrary<ClientDefinition> = fc
  .record({
    experiment_id: fc.constantFrom('a1d1ba58-e9fa-5ca1-baba-5cc68a63d41f', 'b0fe0d59-e331-5bb3-869e-a76ed6ce6695'),
    status: fc.constantFrom('running', 'running', 'running', 'draft', 'paused', 'completed', 'archived'),
    serving: fc.oneof(
      { weight: 3, arbitrary: fc.constant({ mode: 'as_assigned' as const }) },
      fc.constant({ mode: 'off' as const }),
      fc.constant({ mode: 'all_to' as const, variant_id: variantIds[1]! }),
    ),
    coverage_basis_points: fc.constantFrom(10_000, 10_000, 5_000, 3_333, 0),
    shares: fc.constantFrom([5_000, 5_000], [3_333, 3_334], [1, 9_999], [2_000, 1_000]),
    targeting: fc.constantFrom(null, null, { country: 'DE' }, { age: { $gt: 17 } }),
    layer: fc.constantFrom(null, null, { id: 'menú', start: 0, end: 5_000 }),
    holdout: fc.constantFrom(null, null, { id: '全体', share_basis_points: 2_000 }),
    forced_variants: fc.constantFrom({}, { 'unit-1': variantIds[0]!, 'unit-2': 'not a variant' }),
    starts_at: fc.constantFrom(null, '2026-05-01T00:00:00.000Z'),
    ends_at: fc.constantFrom(null, '2026-06-01T00:00:00.000Z'),
  })
  .map(({ shares, ...rest }) => ({
    key: 'any',
    iteration: 1,
    version: 1,
    unit_type: 'user',
    store_required: false,
    variants: variantIds.map((variantId, index) => ({
      variant_id: variantId,
      name: `variant ${index}`,
      is_control: index === 0,
      allocation_basis_points: shares[index]!,
      config: { params: { index } },
    })),
    ...rest,
  })) as fc.Arbitrary<ClientDefinition>;

test('units get the same variants for the same reasons', { timeout: 60_000 }, async () => {
  const cases = fc.sample(
    fc.record({
      definition,
      unit_type: fc.constantFrom('user', 'user', 'user', 'device'),
      unit_id: fc.oneof(
        fc.integer({ min: 0, max: 20 }).map((id) => `unit-${id}`),
        fc.string({ unit: 'grapheme', minLength: 1 }),
      ),
      context: fc.record(
        { country: fc.constantFrom('DE', 'FR'), age: fc.constantFrom(16, '18', 30) },
        { requiredKeys: [] },
      ),
      stored: fc.constantFrom(
        null,
        null,
        { v: variantIds[1]!, b: 7, s: 'imported' },
        { v: 'unheard of', b: 7, s: 'hashed' },
      ),
      now: fc.constantFrom('2026-04-30T23:59:59.999Z', '2026-05-01T00:00:00.000Z', '2026-06-01T00:00:00.000Z'),
    }),
    { seed, numRuns: 4_000 },
  );
  const actual = await ask<unknown[]>(
    `def decide(case):
    experiment = client._compile_experiment(case["definition"])
    stored = case["stored"] and client._Assignment(case["stored"]["v"], case["stored"]["b"], case["stored"]["s"])
    unit = client.Unit(case["unit_type"], case["unit_id"], case["context"])
    now_ms = client.datetime.fromisoformat(case["now"]).timestamp() * 1000
    found = client._evaluate(experiment, unit, stored, now_ms)
    assignment = found.assignment and [found.assignment.variant_id, found.assignment.bucket, found.assignment.source]
    return [found.reason, assignment, found.is_new, found.served_variant_id]
answer = [decide(case) for case in given]`,
    cases,
  );
  const expected = cases.map(({ definition: given, unit_type, unit_id, context, stored, now }) => {
    const { reason, assignment, isNew, servedVariantId } = evaluate(compileExperiment(fromClientDefinition(given)), {
      unitType: unit_type as UnitType,
      unitId: unit_id as UnitId,
      context,
      stored: stored && ({ variantId: stored.v, bucket: stored.b, source: stored.s } as StoredAssignment),
      nowMs: Date.parse(now),
    });
    return [reason, assignment && [assignment.variantId, assignment.bucket, assignment.source], isNew, servedVariantId];
  });
  const wrong = cases
    .map((given, index) => ({ given, python: actual[index], typescript: expected[index] }))
    .filter(({ python, typescript }) => JSON.stringify(python) !== JSON.stringify(typescript));
  expect(wrong.slice(0, 3)).toEqual([]);
  expect(new Set(expected.map(([reason]) => reason)).size).toBeGreaterThan(14);
});
