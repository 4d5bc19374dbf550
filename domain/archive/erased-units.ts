// Which units were erased and what stands for them now; pure.
import { createHmac } from 'node:crypto';

/** A row of exp.erasures. */
export type Erasure = { readonly unitHash: Buffer; readonly pseudonym: string; readonly erasedAtMs: number };

export type ErasedUnits = {
  readonly isEmpty: boolean;
  /** The pseudonym of the unit when the record was accepted before its erasure; an erased unit that returns is a new one. */
  find(event: { unit_type: string; unit_id: string; ingest_time: number }): string | undefined;
  /** The pseudonym under which every event of the unit is kept, whenever it was accepted: the rule of all sinks. */
  pseudonymOf(unit: { unit_type: string; unit_id: string }): string | undefined;
};

/** HMAC-SHA-256 of `unit_type:unit_id`: exp.erasures does not hold the erased id. */
export function hashUnit(key: string, unitType: string, unitId: string): Buffer {
  return createHmac('sha256', key).update(`${unitType}:${unitId}`, 'utf8').digest();
}

export function createErasedUnits(erasures: readonly Erasure[], key: string): ErasedUnits {
  const byHash = new Map(erasures.map((erasure) => [erasure.unitHash.toString('hex'), erasure]));
  const erasureOf = (unit: { unit_type: string; unit_id: string }): Erasure | undefined =>
    byHash.size === 0 ? undefined : byHash.get(hashUnit(key, unit.unit_type, unit.unit_id).toString('hex'));
  return {
    isEmpty: byHash.size === 0,
    find: (event) => {
      const erasure = erasureOf(event);
      return erasure !== undefined && event.ingest_time < erasure.erasedAtMs ? erasure.pseudonym : undefined;
    },
    pseudonymOf: (unit) => erasureOf(unit)?.pseudonym,
  };
}
