// Tests of the compatibility rule: broken changes are refused with the name of the field, harmless ones pass.
import { describe, expect, it } from 'vitest';
import { findIncompatibilities } from './compatibility.ts';

type Field = { name: string; type: unknown; default?: unknown };

const record = (fields: readonly Field[], name = 'Sample') =>
  ({ type: 'record', name, namespace: 'exp', fields }) as never;
const list = (fields: readonly Field[]) => ({ type: 'array', items: { type: 'record', name: 'Item', fields } });
const id: Field = { name: 'id', type: 'string' };
const versionOne = { version: 1, schema: record([id, { name: 'count', type: 'int' }]) };
const backward = (fields: readonly Field[]) =>
  findIncompatibilities(record(fields), [versionOne], 'BACKWARD_TRANSITIVE');
const full = (fields: readonly Field[]) => findIncompatibilities(record(fields), [versionOne], 'FULL_TRANSITIVE');

describe('backward compatibility', () => {
  it('refuses a new field without a default', () => {
    expect(backward([id, { name: 'count', type: 'int' }, { name: 'country', type: 'string' }])).toEqual([
      'it cannot read records of version 1: field "country" is not in those records and has no default',
    ]);
  });

  it('refuses a renamed field', () => {
    expect(backward([id, { name: 'total', type: 'int' }]).join()).toContain('field "total"');
  });

  it('refuses a narrower type', () => {
    expect(
      backward([
        { name: 'id', type: 'int' },
        { name: 'count', type: 'int' },
      ]).join(),
    ).toContain('field "id"');
  });

  it('names a field inside a list of records', () => {
    const old = { version: 1, schema: record([{ name: 'items', type: list([id]) }]) };
    const changed = record([{ name: 'items', type: list([{ name: 'id', type: 'long' }]) }]);
    expect(findIncompatibilities(changed, [old], 'BACKWARD_TRANSITIVE').join()).toContain('field "items.id"');
  });

  it('refuses another record name', () => {
    expect(findIncompatibilities(record([id], 'Other'), [versionOne], 'BACKWARD_TRANSITIVE')).toHaveLength(1);
  });

  it('accepts a new field with a default, a wider type, and a field left out', () => {
    expect(backward([id, { name: 'count', type: 'long' }])).toEqual([]);
    expect(backward([id, { name: 'count', type: ['null', 'int'] }])).toEqual([]);
    expect(backward([id, { name: 'count', type: 'int' }, { name: 'country', type: 'string', default: '' }])).toEqual(
      [],
    );
    expect(backward([id])).toEqual([]);
  });

  it('looks at every earlier version, not only at the newest', () => {
    const versionTwo = {
      version: 2,
      schema: record([id, { name: 'count', type: 'int' }, { name: 'country', type: 'string' }]),
    };
    const third = record([id, { name: 'country', type: 'string' }]);
    expect(findIncompatibilities(third, [versionOne, versionTwo], 'BACKWARD_TRANSITIVE')).toEqual([
      'it cannot read records of version 1: field "country" is not in those records and has no default',
    ]);
  });
});

describe('full compatibility', () => {
  it('refuses a field left out and a wider type, which earlier readers could not read', () => {
    expect(full([id])).toEqual([
      'readers of version 1 cannot read its records: field "count" is not in those records and has no default',
    ]);
    expect(full([id, { name: 'count', type: 'long' }]).join()).toContain('readers of version 1');
  });

  it('accepts a new field with a default', () => {
    expect(full([id, { name: 'count', type: 'int' }, { name: 'country', type: 'string', default: '' }])).toEqual([]);
  });
});
