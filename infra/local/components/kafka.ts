// Kafka: one broker that is its own controller (KRaft), data formatted once.

import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import kafkajs from 'kafkajs';
import { prepareKafkajs } from '#platform/kafka/kafka-client.ts';
import { type CommandSpec, type ComponentContext, defineComponent, getPort } from '../component.ts';
import { runProgram } from '../lifeline.ts';
import { loopback } from '../ports.ts';

export const kafka = defineComponent({
  name: 'kafka',
  title: 'Kafka',
  dependsOn: [],
  ports: { kafka: 9092, kafkaController: undefined },
  stopSignal: 'TERM',
  graceSeconds: 30,
  healthDeadlineMs: 90_000,
  prepare: (context) => prepareBroker(context),
  check: async (context) => {
    prepareKafkajs();
    const client = new kafkajs.Kafka({
      clientId: 'trialstream-health',
      brokers: [brokerAddress(context)],
      logLevel: kafkajs.logLevel.NOTHING,
      connectionTimeout: 2_000,
      requestTimeout: 3_000,
      retry: { retries: 0 },
    });
    const admin = client.admin();
    try {
      await admin.connect();
      const { brokers } = await admin.describeCluster();
      if (brokers.length === 0) throw new Error('no broker is registered yet');
    } finally {
      await admin.disconnect();
    }
  },
  endpoint: (context) => ({ brokers: [brokerAddress(context)] }),
});

/** What a broker of a test's own cluster has beyond the one broker of the stack. */
export type BrokerChanges = {
  readonly settings: Readonly<Record<string, string | number | boolean>>;
  /** Further arguments of the tool that formats the data. */
  readonly formatArguments: readonly string[];
  /** Instead of those for a broker that is alone. */
  readonly jvmArguments?: readonly string[];
};

const jvmArguments = ['-Xms256m', '-Xmx512m', '-XX:+UseG1GC', '-XX:MaxGCPauseMillis=20'];

export async function prepareBroker(
  context: ComponentContext,
  changes: BrokerChanges = { settings: {}, formatArguments: [] },
): Promise<CommandSpec> {
  const { java, dir } = await context.java();
  const logsDir = join(context.dataDir, 'data');
  const properties = join(context.dataDir, 'server.properties');
  await mkdir(logsDir, { recursive: true });
  await writeFile(properties, toProperties({ ...brokerSettings(context, logsDir), ...changes.settings }));
  const classPath = join(dir, 'kafka', '*');
  if (!existsSync(join(logsDir, 'meta.properties'))) {
    const clusterId = await readOrMakeClusterId(join(context.dataDir, 'cluster-id'));
    const format = ['format', '--cluster-id', clusterId, '--config', properties, '--ignore-formatted'];
    const jvm = ['-Xmx256m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-cp', classPath];
    await runProgram({
      file: java,
      args: [...jvm, 'kafka.tools.StorageTool', ...format, ...changes.formatArguments],
      env: { PATH: process.env.PATH ?? '/usr/bin:/bin' },
      cwd: context.dataDir,
      logPath: join(context.logDir, 'kafka.log'),
    });
  }
  return {
    file: java,
    args: [
      ...(changes.jvmArguments ?? jvmArguments),
      '-Xshare:auto',
      '-Djava.awt.headless=true',
      '-Djava.net.preferIPv4Stack=true',
      '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn',
      '-Dorg.slf4j.simpleLogger.log.kafka.server=info',
      '-Dorg.slf4j.simpleLogger.showDateTime=true',
      '-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd HH:mm:ss.SSS',
      '-cp',
      classPath,
      'kafka.Kafka',
      properties,
    ],
  };
}

const brokerAddress = (context: ComponentContext) => `${loopback}:${getPort(context, 'kafka')}`;

function brokerSettings(context: ComponentContext, logsDir: string): Record<string, string | number | boolean> {
  const broker = brokerAddress(context);
  const controller = `${loopback}:${getPort(context, 'kafkaController')}`;
  const further = (context.kafkaListeners ?? []).map(({ port, advertisedPort }, index) => ({
    name: `FURTHER${index + 1}`,
    own: `FURTHER${index + 1}://${loopback}:${port}`,
    advertised: `FURTHER${index + 1}://${loopback}:${advertisedPort}`,
  }));
  return {
    'process.roles': 'broker,controller',
    'node.id': 1,
    'controller.quorum.voters': `1@${controller}`,
    'controller.listener.names': 'CONTROLLER',
    listeners: [`PLAINTEXT://${broker}`, `CONTROLLER://${controller}`, ...further.map(({ own }) => own)].join(','),
    'advertised.listeners': [`PLAINTEXT://${broker}`, ...further.map(({ advertised }) => advertised)].join(','),
    'listener.security.protocol.map': ['PLAINTEXT', 'CONTROLLER', ...further.map(({ name }) => name)]
      .map((name) => `${name}:PLAINTEXT`)
      .join(','),
    'inter.broker.listener.name': 'PLAINTEXT',
    ...Object.fromEntries(further.map(({ name }) => [`listener.name.${name.toLowerCase()}.num.network.threads`, 1])),
    'log.dirs': logsDir,
    // A mistyped topic is an error, not a new topic.
    'auto.create.topics.enable': false,
    'num.partitions': 12,
    'default.replication.factor': 1,
    'log.message.timestamp.type': 'LogAppendTime',
    'message.max.bytes': 2 * 1024 * 1024,
    'replica.fetch.max.bytes': 2 * 1024 * 1024,
    'offsets.topic.replication.factor': 1,
    'offsets.topic.num.partitions': 10,
    'transaction.state.log.replication.factor': 1,
    'transaction.state.log.min.isr': 1,
    'transaction.state.log.num.partitions': 4,
    'share.coordinator.state.topic.replication.factor': 1,
    'share.coordinator.state.topic.min.isr': 1,
    'share.coordinator.state.topic.num.partitions': 2,
    // Tests want quick rebalances and quick detection of killed members.
    'group.initial.rebalance.delay.ms': 100,
    'group.min.session.timeout.ms': 1_000,
    'log.cleaner.dedupe.buffer.size': 16 * 1024 * 1024,
    'num.recovery.threads.per.data.dir': 2,
    'controlled.shutdown.enable': true,
  };
}

function toProperties(settings: Readonly<Record<string, string | number | boolean>>): string {
  // Backslashes start an escape in this format.
  const lines = Object.entries(settings).map(([key, value]) => `${key}=${String(value).replaceAll('\\', '\\\\')}`);
  return `${lines.join('\n')}\n`;
}

// Kept beside the data: with another id the broker refuses its own log folders.
async function readOrMakeClusterId(path: string): Promise<string> {
  if (existsSync(path)) return (await readFile(path, 'utf8')).trim();
  // 16 bytes as base64url without padding, what Kafka's own tool makes; a leading dash would read as an option.
  const clusterId = randomBytes(16).toString('base64url').replace(/^-/, 'A');
  await writeFile(path, clusterId);
  return clusterId;
}
