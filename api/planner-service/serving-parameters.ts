// What config_defaults of a policy version and params of a variant may change about serving; the variant wins.
import { type Static, Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';

/** Other names are for other readers and stay unread. */
const ServingParametersShape = Type.Object({
  deadline_ms: Type.Optional(
    Type.Integer({ minimum: 10, maximum: 60_000, description: 'longest wait for the model, then the rules plan' }),
  ),
  batch_wait_ms: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: 60_000,
      description:
        'how long the inference process gathers requests before it runs the model: larger batches cost less, and every plan waits for them',
    }),
  ),
  temperature: Type.Optional(
    Type.Number({ exclusiveMinimum: 0, maximum: 100, description: 'of the rules: lower takes the best more often' }),
  ),
  repetition_penalty: Type.Optional(
    Type.Number({ minimum: 0, maximum: 100, description: 'of the rules: what a repeated recipe loses' }),
  ),
});
export type ServingParameters = Static<typeof ServingParametersShape>;

export type ParsedParameters =
  | { readonly ok: true; readonly parameters: ServingParameters }
  | { readonly ok: false; readonly problem: string };

/** Both together, later ones winning; the problem names the parameter. */
export function parseServingParameters(...sources: readonly Readonly<Record<string, unknown>>[]): ParsedParameters {
  const given: Readonly<Record<string, unknown>> = Object.assign({}, ...sources);
  const names = Object.keys(ServingParametersShape.properties).filter((name) => Object.hasOwn(given, name));
  const parameters = Object.fromEntries(names.map((name) => [name, given[name]]));
  if (Value.Check(ServingParametersShape, parameters)) return { ok: true, parameters };
  const problem = Value.Errors(ServingParametersShape, parameters).First();
  return { ok: false, problem: `${problem?.path.slice(1)}: ${problem?.message.toLowerCase()}` };
}
