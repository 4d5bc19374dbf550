// Tests that an exported definition is read back as exactly what was stored, whatever texts, numbers and parameters it holds.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { policyVersionIdOf } from '#domain/assignment/deterministic-ids.ts';
import type { Experiment } from '#domain/experiment/experiment.ts';
import { createFileChecker } from './check-file.ts';
import type { DefinitionBody } from './definition-body.ts';
import { createDefinitionSet } from './definition-set.ts';
import { planDefinition } from './plan-definition.ts';
import { planPolicy, type StoredPolicy } from './policy.ts';
import type { ProductionRecord } from './start-limit.ts';
import { toDefinitionYaml } from './to-yaml.ts';
import { parseYaml } from './yaml-source.ts';

const production: ProductionRecord = { hasBeenInProduction: () => true, nameOf: (id) => id };
const check = createFileChecker();

// What YAML likes to misread, beside everything else.
const text = fc.oneof(
  fc.constantFrom(
    'yes',
    'null',
    '1e3',
    '0x1f',
    '2026-01-01',
    ' a ',
    '#',
    'a: b',
    '- a',
    '&a',
    '*a',
    '"',
    "'",
    '|',
    'é\n😀\t',
  ),
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }).filter((value) => !value.includes('\0')),
);
const json = fc.jsonValue({ maxDepth: 3, noUnicodeString: false });
const params = fc.dictionary(text, json, { maxKeys: 4 });
const time = fc.date({ min: new Date('2020-01-01Z'), max: new Date('2030-01-01Z'), noInvalidDate: true });
const share = fc.integer({ min: 0, max: 10_000 }).map((basisPoints) => basisPoints / 10_000);

const bodyArbitrary: fc.Arbitrary<DefinitionBody> = fc
  .record(
    {
      iteration: fc.integer({ min: 1, max: 9 }),
      name: text,
      coverage: share,
      exposure: fc.constantFrom('explicit' as const, 'implicit' as const),
      hypothesis: fc.option(text),
      owner: fc.option(text),
      times: fc.uniqueArray(time, { minLength: 2, maxLength: 2, selector: (date) => date.getTime() }),
      targeting: fc.option(
        fc.dictionary(fc.constantFrom('a', 'b.c'), fc.oneof(fc.double({ noNaN: true, noDefaultInfinity: true }), text)),
      ),
      layer: fc.option(fc.constant({ id: 'page', start: 0.1, end: 0.2001 })),
      holdout: fc.option(fc.record({ id: text, share })),
      forced: fc.array(text, { maxLength: 3 }),
      params: fc.array(params, { minLength: 3, maxLength: 3 }),
      names: fc.uniqueArray(text, { minLength: 3, maxLength: 3 }),
      ramp: fc.option(params),
      bound: fc.double({ min: 0, noNaN: true, noDefaultInfinity: true }),
    },
    { requiredKeys: ['params', 'names', 'forced', 'times', 'bound'] },
  )
  .map(({ params: [first, second, third], names, forced, times, bound, ...rest }) => {
    const [startsAt, endsAt] = [...times].sort((one, other) => one.getTime() - other.getTime());
    return {
      ...rest,
      key: 'any-key',
      unit_type: 'user',
      starts_at: startsAt!.toISOString(),
      ends_at: endsAt!.toISOString(),
      forced_variants: Object.fromEntries(forced.map((unitId) => [unitId, names[1]!])),
      metrics: { primary: 'p', guardrails: [{ metric: 'm', direction: 'increase', bound }] },
      variants: [
        {
          name: names[0]!,
          allocation: 0.3333,
          is_control: true,
          config: { policy_version_id: 'planner@1', params: first },
        },
        { name: names[1]!, allocation: 0.0001, config: { policy_version_id: 'gone@7', params: second } },
        { name: names[2]!, allocation: 0.6, config: { params: third } },
      ],
    } as DefinitionBody;
  });

const versionsArbitrary = fc.array(
  fc.record({
    modelName: text,
    modelVersion: fc.constantFrom('1', '12', '999999999999999999'),
    configDefaults: params,
  }),
  { minLength: 1, maxLength: 3 },
);

test('an export applied again changes nothing', () => {
  fc.assert(
    fc.property(bodyArbitrary, versionsArbitrary, fc.option(text), (body, versions, description) => {
      const created = planDefinition(body, [], production);
      if (created.status !== 'allowed') throw new Error(JSON.stringify(created));
      // As Postgres gives it back.
      const stored = JSON.parse(JSON.stringify(created.next)) as Experiment;
      const policy: StoredPolicy = {
        policyId: 'p' as StoredPolicy['policyId'],
        name: 'planner',
        description,
        versions: versions.map((version, index) => ({
          ...(JSON.parse(JSON.stringify(version)) as typeof version as StoredPolicy['versions'][number]),
          policyVersionId: policyVersionIdOf('planner', index + 1),
          policyName: 'planner',
          version: index + 1,
          status: 'candidate',
          firstProductionAt: null,
        })),
      };
      const yaml = toDefinitionYaml({ experiments: [stored], policies: [policy], withPolicies: true });
      const parsed = parseYaml('export.yml', yaml);
      if (!parsed.ok) throw new Error(`${JSON.stringify(parsed.problems)}\n${yaml}`);
      const checked = check(parsed.source);
      if (!checked.ok) throw new Error(`${JSON.stringify(checked.problems)}\n${yaml}`);
      const set = createDefinitionSet([{ source: parsed.source, content: checked.content }], () => true);
      if (!set.ok) throw new Error(JSON.stringify(set.problems));
      const again = planDefinition(set.set.experiments[0]!.body, [stored], production);
      expect(again, yaml).toMatchObject({ status: 'unchanged' });
      const plan = planPolicy(set.set.policies[0]!.policy, policy);
      expect([plan.action, ...plan.versions.map(({ action }) => action)], yaml).toEqual([
        'unchanged',
        ...versions.map(() => 'unchanged'),
      ]);
    }),
    { numRuns: 150, seed: 4 },
  );
});
