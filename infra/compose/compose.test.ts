// docker-compose.yml against the Compose schema and against our code: entries, settings, ports, roles, variables, health checks.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { Ajv } from 'ajv';
import { describe, expect, it } from 'vitest';
import { parseSettings } from '#platform/config/settings.ts';
import { checkBoundaries } from '../checks/check-boundaries.ts';
import { listProcessSettings } from '../generate/process-settings.ts';
import { nodeCommandOf, processSpecs } from '../system/process-specs.ts';
import { interpolate, listVariables, parseComposeFile } from './compose-file.ts';

const root = join(import.meta.dirname, '..', '..');
const composePath = join(root, 'docker-compose.yml');
const composeText = readFileSync(composePath, 'utf8');
const exampleText = readFileSync(join(root, '.env.example'), 'utf8');
const exampleVariables = Object.entries(parseEnv(exampleText)).map(([name, value]) => [name, value ?? ''] as const);
const filledIn = Object.fromEntries(
  exampleVariables.map(([name, value]) => [
    name,
    value || (name.endsWith('_URL') ? 'http://filled.in' : 'filledIn0123456789'.repeat(3)),
  ]),
);
const compose = parseComposeFile(composePath, filledIn);
const services = Object.entries(compose.services);
const processes = await listProcessSettings(root);

const { $schema: _draft, ...schema } = JSON.parse(
  readFileSync(join(import.meta.dirname, 'compose-spec.schema.json'), 'utf8'),
);
const validate = new Ajv({ strict: false, validateFormats: false }).compile(schema);

const environmentOf = (service: string): Record<string, string> =>
  Object.fromEntries(
    Object.entries(compose.services[service]?.environment ?? {}).map(([name, value]) => [name, String(value)]),
  );
/** Our own services with the settings schema of their program. */
const ownServices = [
  ...processSpecs.map(({ name }) => ({ service: name as string, program: name as string })),
  { service: 'deploy', program: 'ops-deploy' },
  { service: 'metabase-setup', program: 'ops-metabase' },
];

describe('the Compose schema', () => {
  it('accepts docker-compose.yml', () => {
    validate(compose);
    expect(validate.errors ?? []).toEqual([]);
  });

  it('refuses what Compose would refuse', () => {
    expect(validate({ services: { a: { image: 'a', dependson: [] } } })).toBe(false);
    expect(validate({ services: { a: { image: 'a', healthcheck: { tests: [] } } } })).toBe(false);
    expect(validate({ services: { a: { image: 'a', ports: 'x' } } })).toBe(false);
  });
});

describe('our processes', () => {
  it('are all there, each with its entry file', () => {
    for (const spec of processSpecs) {
      expect(compose.services[spec.name]?.command).toEqual(['node', ...nodeCommandOf(spec)]);
      expect(existsSync(join(root, spec.entry))).toBe(true);
    }
    expect(compose.services.deploy?.command).toEqual(['node', 'ops/main.ts', 'deploy']);
    expect(readFileSync(join(root, 'ops/deploy-commands.ts'), 'utf8')).toContain(".command('deploy')");
  });

  it('are the only services made of our image', () => {
    const own = services.filter(([, service]) => service.image === 'trialstream:local').map(([name]) => name);
    expect(own.sort()).toEqual(ownServices.map(({ service }) => service).sort());
  });

  it.each(ownServices)('$service gets every required setting, and no name that its program does not read', (entry) => {
    const program = processes.find(({ name }) => name === entry.program)!;
    const environment = environmentOf(entry.service);
    const parsed = parseSettings(program.schema, environment);
    expect(parsed.ok ? [] : parsed.problems).toEqual([]);
    const known = program.settings.map(({ name }) => name);
    expect(Object.keys(environment).filter((name) => !known.includes(name))).toEqual([]);
  });

  it.each(processSpecs)('$name has its role, its port on every address, and a health check of that port', (spec) => {
    const environment = environmentOf(spec.name);
    expect(new URL(environment.POSTGRES_URL!).username).toBe(spec.role);
    expect(environment[spec.portSetting]).toBe(String(spec.defaultPort));
    expect(environment[spec.portSetting.replace('PORT', 'HOST')]).toBe('0.0.0.0');
    expect(compose.services[spec.name]?.healthcheck?.test.join(' ')).toContain(`127.0.0.1:${spec.defaultPort}/readyz`);
    const published =
      spec.portSetting === 'HTTP_PORT' ? [`127.0.0.1:${spec.defaultPort}:${spec.defaultPort}`] : undefined;
    expect(compose.services[spec.name]?.ports).toEqual(published);
  });

  it('set Metabase up as the role that reads exp only, once it is healthy', () => {
    expect(new URL(environmentOf('metabase-setup').METABASE_DATABASE_URL!).username).toBe('analyst');
    expect(compose.services['metabase-setup']?.depends_on?.metabase?.condition).toBe('service_healthy');
    expect(compose.services['metabase-setup']?.command).toEqual(['node', 'ops/main.ts', 'metabase', 'apply']);
    expect(readFileSync(join(root, 'ops/metabase/commands.ts'), 'utf8')).toContain(".command('apply')");
  });

  it('wait for the deployment to have ended well', () => {
    for (const { name } of processSpecs)
      expect(compose.services[name]?.depends_on?.deploy?.condition).toBe('service_completed_successfully');
  });

  it('ask for no setting that would be missing: leaving one out is found', () => {
    const { schema: sinkSchema } = processes.find(({ name }) => name === 'postgres-sink')!;
    const { KAFKA_BROKERS: _left, ...rest } = environmentOf('postgres-sink');
    expect(parseSettings(sinkSchema, rest).ok).toBe(false);
  });
});

describe('addresses between services', () => {
  it('name services and the ports these listen on', () => {
    const listening: Readonly<Record<string, readonly string[]>> = {
      kafka: ['29092', '29093', '9092'],
      postgres: ['5432'],
      'schema-registry': ['8080'],
      'object-store': ['9000'],
      metabase: ['3000'],
      mlflow: ['5000'],
      redis: ['6379'],
      prefect: ['4200'],
      'assignment-service': ['7001'],
      'ingestion-service': ['7002'],
      'planner-inference': ['7072'],
    };
    const text = JSON.stringify(services.map(([, { environment, command }]) => [environment, command]));
    const addresses = [...text.matchAll(/(?:\/\/|@)(?:[^\s/"@,:]+:[^\s/"@]+@)?([a-z][a-z-]+):(\d{4,5})/g)];
    expect(addresses.length).toBeGreaterThan(20);
    for (const [, host, port] of addresses)
      if (host !== 'localhost') expect(listening[host!] ?? [], `${host}:${port}`).toContain(port);
  });
});

describe('every service', () => {
  it.each(services)('%s has a profile, and so have the services it waits for', (_name, service) => {
    expect(service.profiles?.length).toBeGreaterThan(0);
    for (const [needed, { condition, required }] of Object.entries(service.depends_on ?? {})) {
      const other = compose.services[needed]!;
      if (required !== false) expect(other.profiles).toEqual(expect.arrayContaining([...service.profiles!]));
      if (condition === 'service_healthy') expect(other.healthcheck).toBeDefined();
      else expect(other.restart).toBe('no');
    }
  });

  it.each(services)(
    '%s has a health check or ends by itself, a fixed version, and ports of this machine only',
    (_name, service) => {
      expect(service.healthcheck !== undefined || service.restart === 'no').toBe(true);
      expect(service.image).toMatch(/:[\w.-]+$/);
      expect(service.image).not.toMatch(/:latest$/);
      for (const port of service.ports ?? []) expect(port).toMatch(/^127\.0\.0\.1:\d+:\d+$/);
    },
  );

  it('is in the profiles that are documented', () => {
    expect(new Set(services.flatMap(([, { profiles = [] }]) => profiles))).toEqual(new Set(['core', 'ml', 'bi']));
  });

  it('publishes each port once, mounts volumes that are declared and files that exist', () => {
    const ports = services.flatMap(([, service]) => service.ports ?? []);
    expect(new Set(ports).size).toBe(ports.length);
    const sources = services.flatMap(([, service]) => service.volumes ?? []).map((volume) => volume.split(':')[0]!);
    const [files, named] = [
      sources.filter((source) => source.startsWith('./')),
      sources.filter((source) => !source.startsWith('./')),
    ];
    expect(new Set(named)).toEqual(new Set(Object.keys(compose.volumes)));
    expect(files.filter((file) => !existsSync(join(root, file)))).toEqual([]);
  });
});

describe('variables', () => {
  it('are exactly those of .env.example', () => {
    const names = exampleVariables.map(([name]) => name).filter((name) => name !== 'COMPOSE_PROFILES');
    expect([...listVariables(composeText)].sort()).toEqual(names.sort());
  });

  it('have no value for a secret, neither in the example nor in the file', () => {
    for (const [name, value] of exampleVariables)
      if (/PASSWORD|SECRET|ENCRYPTION_KEY|ERASURE_KEY/.test(name)) expect(value).toBe('');
    expect(composeText).not.toMatch(/(PASSWORD|SECRET[A-Z_]*|ENCRYPTION_KEY|ERASURE_KEY): (?!\$\{[A-Z0-9_]+:\?)/);
  });

  it('stop Compose when one that is required is empty', () => {
    expect(() => parseComposeFile(composePath, { ...filledIn, POSTGRES_PASSWORD: '' })).toThrow(
      'POSTGRES_PASSWORD: set it in .env',
    );
    // biome-ignore lint/suspicious/noTemplateCurlyInString: this is the text that Compose interpolates.
    expect(interpolate('$$a ${B:-c} ${D:?e}', { D: 'd' })).toBe('$a c d');
  });

  it('include every password that the first start of Postgres asks for', () => {
    const script = readFileSync(join(import.meta.dirname, 'create-databases.sh'), 'utf8');
    const asked = [...script.matchAll(/create_database (\w+) "\$(\w+)"/g)];
    expect(asked.map(([, database]) => database)).toEqual(['registry', 'mlflow', 'prefect', 'metabase']);
    for (const [, , name] of asked) expect(environmentOf('postgres')).toHaveProperty(name!);
  });
});

describe('the image', () => {
  const dockerfile = readFileSync(join(root, 'Dockerfile'), 'utf8');
  const copied = [...dockerfile.matchAll(/^COPY (\S+) \.\/\1$/gm)].map(([, folder]) => folder!);

  it('holds every folder that a process can import, and the files that they read', () => {
    expect(copied).toEqual(
      expect.arrayContaining([
        'schemas',
        'domain',
        'platform',
        'producers',
        'analytics',
        'api',
        'consumers',
        'workers',
        'ops',
        'migrations',
        'data',
      ]),
    );
    // A process that imported something else, such as infra or tests, would break this rule.
    const strays = checkBoundaries(root).filter(({ problem }) => problem.startsWith('imports #'));
    expect(strays).toEqual([]);
  });

  it('lets the same folders through .dockerignore, and no environment file', () => {
    const lines = readFileSync(join(root, '.dockerignore'), 'utf8').split('\n');
    expect(lines).toContain('*');
    for (const folder of copied) expect(lines).toContain(`!${folder}`);
    expect(lines.filter((line) => line.startsWith('!.env'))).toEqual([]);
  });

  it('runs as an ordinary user, without the packages of development, on the Node of package.json', () => {
    const version = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).dependencies.node;
    expect([...dockerfile.matchAll(/^FROM node:([\d.]+)-/gm)].map(([, found]) => found)).toEqual([version, version]);
    expect(dockerfile).toMatch(/^USER node$/m);
    expect(dockerfile).toContain('npm ci --omit=dev');
  });
});
