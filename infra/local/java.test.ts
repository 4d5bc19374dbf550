// Tests how the outputs of java and mvn are read.
import { expect, test } from 'vitest';
import { parseJavaVersion, parseMavenVersion } from './java.ts';

test.each([
  ['openjdk version "17.0.15" 2025-04-15\nOpenJDK Runtime Environment', 17],
  ['openjdk version "21" 2023-09-19', 21],
  ['java version "1.8.0_402"', 8],
  ['openjdk version "24-ea" 2025-03-18', 24],
  ['Picked up JAVA_TOOL_OPTIONS: -Xmx1g\nopenjdk version "11.0.2" 2019-01-15', 11],
])('reads the feature release of %j', (output, version) => {
  expect(parseJavaVersion(output)).toBe(version);
});

test('finds no Java version in the message of a stub that only says where to get Java', () => {
  expect(parseJavaVersion('The operation could not be completed. Unable to locate a Java Runtime.')).toBeUndefined();
});

test('reads the Maven version through terminal colors', () => {
  expect(parseMavenVersion('\u001b[1mApache Maven 3.8.7\u001b[m\nMaven home: /usr/share/maven')).toBe('3.8.7');
  expect(parseMavenVersion('Apache Maven 4.0.0-rc-2')).toBe('4.0.0');
  expect(parseMavenVersion('mvn: command not found')).toBeUndefined();
});
