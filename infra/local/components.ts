// The components of the local stack: to add one, write its file in components/ and one line here.
import { kafka } from './components/kafka.ts';
import { objectStore } from './components/object-store.ts';
import { postgres } from './components/postgres.ts';
import { schemaRegistry } from './components/schema-registry.ts';

export const components = [postgres, kafka, schemaRegistry, objectStore] as const;

type AnyComponent = (typeof components)[number];

export type ComponentName = AnyComponent['name'];

/** What clients need to reach each component, by its name. */
export type StackEndpoints = {
  readonly [Name in ComponentName]: Readonly<ReturnType<Extract<AnyComponent, { name: Name }>['endpoint']>>;
};
