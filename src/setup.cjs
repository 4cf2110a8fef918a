/**
 * Set-up behind the npm scripts: installs what is missing, or says what to type and stops. Silent when nothing is missing.
 *
 *   node src/setup.cjs          the locked dependencies, among them Node itself in the version we need
 *   node src/setup.cjs cli      the same, except for dev packages that were left out (--omit=dev)
 *   node src/setup.cjs start    as for cli, and a Redis
 *   node src/setup.cjs test     all dependencies, a Redis, and programs that single tests use
 *
 * Runs before any dependency is there, on whatever Node the machine has: CommonJS, no packages, nothing newer than Node 10.
 */
// biome-ignore-all lint/style/useNodejsImportProtocol: Node before 16 does not know `node:` in require
const { spawnSync } = require('child_process');
const fs = require('fs');
const os = require('os');
const path = require('path');

const redis = {
  programs: ['valkey-server', 'redis-server'],
  why: 'Postrider keeps its mail in Redis or Valkey',
  isRequired: true,
  settings: ['REDIS_URL', 'REDIS_URL_FILE'],
  packages: { 'apt-get': 'redis-server', dnf: 'valkey', apk: 'valkey', brew: 'valkey' },
};
const macChrome = '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome';
const chromium = {
  programs: ['chromium', 'chromium-browser', 'google-chrome', macChrome],
  why: 'the tests of web pages use it',
  packages: { 'apt-get': 'chromium', dnf: 'chromium', apk: 'chromium', brew: 'google-chrome' },
};
const smtpSink = {
  programs: ['smtp-sink', '/usr/sbin/smtp-sink', '/usr/local/sbin/smtp-sink'],
  why: 'a test delivers mail into it',
  packages: { 'apt-get': 'postfix', dnf: 'postfix', apk: 'postfix' },
};
const goPrograms = process.env.GOBIN || path.join(process.env.GOPATH || path.join(os.homedir(), 'go'), 'bin');
const helm = {
  programs: ['helm', path.join(goPrograms, 'helm')],
  why: 'tests lint and render the chart with it',
  packages: { brew: 'helm', go: 'helm.sh/helm/v3/cmd/helm@v3.22.0' },
};
const needs = { start: [redis], test: [redis, chromium, smtpSink, helm] };

/** Debian starts the service of a package at once and at every boot; its port may be taken. */
const debianServices = ['redis-server', 'postfix'];
const managers = [
  {
    name: 'apt-get',
    needsRoot: true,
    env: ['DEBIAN_FRONTEND=noninteractive', 'RUNLEVEL=1'], // no service starts in runlevel 1, where init is not systemd
    install: (name) => ['install', '--yes', '--no-install-recommends', ...keepServiceOff(name), name],
    refresh: ['update'],
  },
  { name: 'dnf', needsRoot: true, install: (name) => ['install', '--assumeyes', name] },
  { name: 'apk', needsRoot: true, install: (name) => ['add', '--no-cache', name] },
  { name: 'brew', install: (name) => ['install', name] },
  { name: 'go', install: (name) => ['install', name] }, // compiles it, which takes minutes
];

const root = path.dirname(__dirname);
const ownNode = path.join(root, 'node_modules', '.bin', 'node');
/** Without the programs of our node_modules: `npm ci` would look up its `node` in the folder it is replacing. */
const searchPath = (process.env.PATH || '').split(path.delimiter).filter((dir) => dir !== path.dirname(ownNode));

/** What production runs as well: to install there would remove packages under a running service, and need a network and a folder to write to. */
const needsNoDev = ['cli', 'start'].includes(process.argv[2]);

provideDependencies();
(needs[process.argv[2]] || []).forEach(provide);

function provideDependencies() {
  if (isInstalled() && isNodeNewEnough()) return;
  console.log('Installing dependencies (npm ci) ...');
  const quiet = ['--loglevel=error', '--no-audit', '--no-fund', '--no-progress', '--no-update-notifier'];
  const installing = run('npm', ['ci', '--include=dev', ...quiet]);
  if (!installing.isDone) stop([installing.output, '`npm ci` failed: see above.']);
  if (isNodeNewEnough()) return;
  // The package `node` has none for this system (musl, for one), or install scripts are off: make way for the system's own.
  if (fs.existsSync(ownNode)) fs.unlinkSync(ownNode);
  if (!isNodeNewEnough()) stop(['No Node.js 24 runs here, and `npm ci` brought none: https://nodejs.org/download']);
}

/** Compares the lock file with npm's record of what it put into node_modules, which it writes last. */
function isInstalled() {
  if (!fs.existsSync(path.join(root, 'node_modules/.package-lock.json'))) return false;
  const present = readPackages('node_modules/.package-lock.json');
  return Object.entries(readPackages('package-lock.json')).every(([name, wanted]) =>
    present[name] ? present[name].version === wanted.version : name === '' || isLeftOut(wanted),
  );
}

function isLeftOut(wanted) {
  return wanted.optional || wanted.devOptional || (needsNoDev && wanted.dev);
}

function readPackages(file) {
  return JSON.parse(fs.readFileSync(path.join(root, file), 'utf8')).packages;
}

/** About the `node` that npm scripts run with. */
function isNodeNewEnough() {
  const asked = run(fs.existsSync(ownNode) ? ownNode : 'node', ['-p', 'process.versions.node']);
  return asked.isDone && Number.parseInt(asked.output, 10) >= 24;
}

function provide(need) {
  if ((need.settings || []).some((name) => process.env[name]) || need.programs.some(isFound)) return;
  const missing = `${need.programs[0]} is missing: ${need.why}.`;
  const manager = managers.find(({ name }) => need.packages[name] && isFound(name));
  if (!manager) return giveUp(need, [missing, 'Install it by hand: no package manager was found that has it.']);
  const wanted = need.packages[manager.name];
  const command = `${manager.name} ${manager.install(wanted)[0]} ${wanted}`;
  const isRoot = !manager.needsRoot || process.getuid() === 0;
  const advice = [missing, `Install it: ${isRoot ? '' : 'sudo '}${command}`];
  if (!isRoot && !run('sudo', ['-n', 'true']).isDone) return giveUp(need, advice);
  console.log(`Installing ${wanted} (${command}): ${need.why} ...`);
  const output = install(manager, wanted, isRoot ? [] : ['sudo', '-n']);
  if (!need.programs.some(isFound)) giveUp(need, need.isRequired ? [output, ...advice] : advice);
}

function install(manager, wanted, asRoot) {
  const manage = (args) => {
    const [command, ...rest] = [...asRoot, '/usr/bin/env', ...(manager.env || []), manager.name, ...args];
    return run(command, rest);
  };
  const installing = manage(manager.install(wanted));
  if (installing.isDone || !manager.refresh) return installing.output;
  manage(manager.refresh);
  return manage(manager.install(wanted)).output;
}

function keepServiceOff(service) {
  if (!debianServices.includes(service)) return [];
  const ifSystemd = (commands) => `[ ! -d /run/systemd/system ] || { ${commands}; } || true`;
  const before = ifSystemd(`systemctl mask --runtime --quiet ${service}`);
  const after = ifSystemd(`systemctl unmask --runtime --quiet ${service}; systemctl disable --quiet ${service}`);
  return ['-o', `DPkg::Pre-Invoke::=${before}`, '-o', `DPkg::Post-Invoke::=${after}`];
}

function isFound(program) {
  return searchPath.some((dir) => {
    try {
      fs.accessSync(path.resolve(dir, program), fs.constants.X_OK);
      return true;
    } catch (_) {
      return false;
    }
  });
}

/** What the command prints is kept for the case that it fails. */
function run(command, args) {
  const env = { ...process.env, PATH: searchPath.join(path.delimiter) };
  const options = { cwd: root, env, encoding: 'utf8', maxBuffer: 2 ** 28, stdio: ['ignore', 'pipe', 'pipe'] };
  const { status, stdout, stderr, error } = spawnSync(command, args, options);
  return { isDone: status === 0, output: [stdout, stderr, error ? error.message : ''].join('\n').trim() };
}

function giveUp(need, lines) {
  if (need.isRequired) stop([...lines, `Or set ${need.settings[0]} to a server that runs elsewhere.`]);
  console.log(lines.join(' '));
}

function stop(lines) {
  console.error(lines.join('\n'));
  process.exit(1);
}
