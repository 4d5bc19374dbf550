// Puts the effects given on the command line together by variant.

import type { VariantEffect } from './simulate-traffic.ts';

type PerVariant = Readonly<Record<string, number>> | undefined;

const effectOfOption = {
  effect: 'acceptance',
  latencyFactor: 'latencyFactor',
  costFactor: 'costFactor',
  lose: 'lostShare',
} as const satisfies Record<string, keyof VariantEffect>;

export type EffectOptions = { readonly [Option in keyof typeof effectOfOption]: PerVariant };

/** `{ effect: { candidate: 0.05 } }` gives `{ candidate: { acceptance: 0.05 } }`. */
export function toVariantEffects(options: EffectOptions): Record<string, VariantEffect> {
  const effects: Record<string, VariantEffect> = {};
  for (const option of Object.keys(effectOfOption) as (keyof typeof effectOfOption)[]) {
    for (const [variant, value] of Object.entries(options[option] ?? {})) {
      effects[variant] = { ...effects[variant], [effectOfOption[option]]: value };
    }
  }
  return effects;
}
