// The components of the local stack: to add one, write its file in components/ and one line here.
import type { Component, Profile } from './component.ts';
import { kafka } from './components/kafka.ts';
import { mlflow } from './components/mlflow.ts';
import { objectStore } from './components/object-store.ts';
import { postgres } from './components/postgres.ts';
import { prefect } from './components/prefect.ts';
import { redis } from './components/redis.ts';
import { schemaRegistry } from './components/schema-registry.ts';

const alwaysRunning = [postgres, kafka, schemaRegistry, objectStore] as const;
/** Each runs only when the profile that it names is asked for. */
const onDemand = [mlflow, redis, prefect] as const;

export const components = [...alwaysRunning, ...onDemand] as const;

type CoreComponent = (typeof alwaysRunning)[number];
type OptionalComponent = (typeof onDemand)[number];

export type ComponentName = (CoreComponent | OptionalComponent)['name'];

/** Something per component; those of profiles may be absent. */
export type PerComponent<T> = Readonly<Record<CoreComponent['name'], T>> &
  Readonly<Partial<Record<OptionalComponent['name'], T>>>;

type EndpointOf<Name extends ComponentName> = Readonly<
  ReturnType<Extract<CoreComponent | OptionalComponent, { name: Name }>['endpoint']>
>;

/** What clients need to reach each component, by its name. */
export type StackEndpoints = { readonly [Name in CoreComponent['name']]: EndpointOf<Name> } & {
  readonly [Name in OptionalComponent['name']]?: EndpointOf<Name>;
};

/** The components that run with these profiles. */
export function selectComponents(profiles: readonly Profile[]): readonly Component[] {
  return (components as readonly Component[]).filter(
    ({ profile }) => profile === undefined || profiles.includes(profile),
  );
}
