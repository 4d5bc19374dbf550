// A cluster of three Kafka brokers of a test's own. Services come in by TLS with a name and a password, as in production.
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { defineComponent } from '#infra/local/component.ts';
import { type BrokerChanges, kafka, prepareBroker } from '#infra/local/components/kafka.ts';
import { readOrMakeCredentials } from '#infra/local/credentials.ts';
import { homeOrPath } from '#infra/local/java.ts';
import { ensureJavaArtifacts } from '#infra/local/java-artifacts.ts';
import { reservePorts } from '#infra/local/port-reservation.ts';
import { loopback } from '#infra/local/ports.ts';
import { createRunningComponent, type RunningComponent } from '#infra/local/running-component.ts';

export const brokerCount = 3;

export type SecuredCluster = AsyncDisposable & {
  /** A door without locks, for the test itself. */
  readonly brokers: readonly string[];
  /** What a process needs to come in by the door that production has. */
  readonly settings: Readonly<Record<string, string>>;
  /** By node id: 1, 2 and 3. */
  broker(nodeId: number): RunningComponent;
};

const nodeIds = Array.from({ length: brokerCount }, (_, index) => index + 1);
const username = 'trialstream';

/** Resolves when all brokers answer. */
export async function startSecuredCluster(): Promise<SecuredCluster> {
  const folder = await mkdtemp(join(tmpdir(), 'trialstream-cluster-'));
  const artifacts = await ensureJavaArtifacts();
  const reservation = await reservePorts(
    Object.fromEntries(
      nodeIds.flatMap((id) => [`plain${id}`, `controller${id}`, `secured${id}`].map((name) => [name, undefined])),
    ),
  );
  const address = (door: string, id: number): string => `${loopback}:${reservation.ports[`${door}${id}`]}`;
  const credentials = await readOrMakeCredentials(folder);
  const password = randomBytes(12).toString('hex');
  const certificate = await makeCertificate(folder);
  const clusterId = randomBytes(16).toString('base64url').replace(/^-/, 'A');

  const changesOf = (id: number): BrokerChanges => ({
    settings: {
      'node.id': id,
      'controller.quorum.voters': nodeIds.map((node) => `${node}@${address('controller', node)}`).join(','),
      listeners: [
        `PLAINTEXT://${address('plain', id)}`,
        `CONTROLLER://${address('controller', id)}`,
        `SECURED://${address('secured', id)}`,
      ].join(','),
      'advertised.listeners': `PLAINTEXT://${address('plain', id)},SECURED://${address('secured', id)}`,
      'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURED:SASL_SSL',
      'sasl.enabled.mechanisms': 'SCRAM-SHA-512',
      'listener.name.secured.scram-sha-512.sasl.jaas.config':
        'org.apache.kafka.common.security.scram.ScramLoginModule required;',
      'ssl.keystore.type': 'PKCS12',
      'ssl.keystore.location': certificate.keyStore,
      'ssl.keystore.password': certificate.keyStorePassword,
      'default.replication.factor': brokerCount,
      'offsets.topic.replication.factor': brokerCount,
      'transaction.state.log.replication.factor': brokerCount,
      'transaction.state.log.min.isr': brokerCount - 1,
    },
    // Three start at once: less compiling, fewer threads.
    jvmArguments: ['-Xmx384m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1'],
    formatArguments: ['--add-scram', `SCRAM-SHA-512=[name=${username},password=${password}]`],
  });
  const brokers = await Promise.all(
    nodeIds.map(async (id) => {
      const dataDir = join(folder, `broker-${id}`);
      await mkdir(dataDir);
      await writeFile(join(dataDir, 'cluster-id'), clusterId);
      return createRunningComponent({
        component: defineComponent({
          ...kafka,
          title: `Kafka broker ${id}`,
          // Three of them start at once, or one beside two that work.
          healthDeadlineMs: 240_000,
          prepare: (context) => prepareBroker(context, changesOf(id)),
        }),
        context: {
          localDir: folder,
          dataDir,
          logDir: dataDir,
          ports: { kafka: reservation.ports[`plain${id}`]!, kafkaController: reservation.ports[`controller${id}`]! },
          credentials,
          onProgress: () => {},
          java: async () => artifacts,
        },
        onChange: () => {},
        onUnexpectedEnd: () => {},
      });
    }),
  );
  const dispose = async (): Promise<void> => {
    await Promise.all(brokers.map((broker) => broker.stop()));
    reservation.release();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await Promise.all(brokers.map((broker) => broker.start()));
  } catch (error) {
    await dispose();
    throw error;
  }
  return {
    brokers: nodeIds.map((id) => address('plain', id)),
    settings: {
      KAFKA_BROKERS: nodeIds.map((id) => address('secured', id)).join(','),
      KAFKA_SSL: 'true',
      KAFKA_USERNAME: username,
      KAFKA_PASSWORD: password,
      NODE_EXTRA_CA_CERTS: certificate.authority,
    },
    broker: (nodeId) => brokers[nodeId - 1]!,
    [Symbol.asyncDispose]: dispose,
  };
}

/** A key with a certificate for the loopback address that signs itself, and so is its own authority. */
async function makeCertificate(
  folder: string,
): Promise<{ keyStore: string; keyStorePassword: string; authority: string }> {
  const keytool = (...args: string[]) => promisify(execFile)(homeOrPath('keytool'), args);
  const keyStorePassword = randomBytes(12).toString('hex');
  const [keyStore, authority] = [join(folder, 'broker.p12'), join(folder, 'authority.pem')];
  const store = ['-alias', 'broker', '-keystore', keyStore, '-storetype', 'PKCS12', '-storepass', keyStorePassword];
  const subject = ['-dname', 'CN=trialstream test', '-ext', `san=ip:${loopback}`, '-validity', '2'];
  await keytool('-genkeypair', '-keyalg', 'EC', '-groupname', 'secp256r1', ...subject, ...store);
  await keytool('-exportcert', '-rfc', '-file', authority, ...store);
  return { keyStore, keyStorePassword, authority };
}
