/** Values that the chart is rendered with: each way to run it once. */
import type { Values } from './helm.ts';
import { testApiKey, testSecretKey } from './postrider.ts';

/** What has to be given, from Secrets that are there. */
export const given = {
  apiKey: { existingSecret: 'postrider', key: 'admin' },
  secretKey: { existingSecret: 'postrider' },
  redis: { existingSecret: 'redis', key: 'url' },
  smtp: { existingSecret: 'smtp' },
};
const { smtp: _, ...withoutSmtp } = given;
const places = {
  nodeSelector: { pool: 'mail' },
  tolerations: [{ key: 'mail', operator: 'Exists', effect: 'NoSchedule' }],
};
const peer = { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'shop' } } };
const autoscaling = { enabled: true, minReplicas: 3, maxReplicas: 30, targetCPU: 60 };
export const transportsFile = 'transports:\n  main: {url: "smtps://u:$$secret@smtp.example.com:465"}\n';

export const valueSets: Readonly<Record<string, Values>> = {
  'Secrets that are there': given,
  'to try it out': {
    apiKey: { value: testApiKey },
    secretKey: { value: testSecretKey },
    valkey: { enabled: true, storageClassName: 'fast', ...places, affinity: { nodeAffinity: {} } },
    smtp: { url: 'smtp://mail.example.com:587' },
    networkPolicy: { enabled: true },
  },
  'transports from a Secret': { ...withoutSmtp, transports: { existingSecret: 'transports', key: 'mail.yaml' } },
  'transports as a value': {
    ...withoutSmtp,
    transports: { file: transportsFile },
    env: [
      { name: 'SES_USER', valueFrom: { secretKeyRef: { name: 'ses', key: 'user' } } },
      // No setting, and none that TRANSPORTS_FILE gives.
      { name: 'TRANSPORTS', valueFrom: { configMapKeyRef: { name: 'ses', key: 'transports' } } },
    ],
    envFrom: [{ secretRef: { name: 'ses' } }],
  },
  'autoscaling on CPU': { ...given, api: { autoscaling }, worker: { autoscaling } },
  'autoscaling on age, all metrics': {
    ...given,
    worker: {
      autoscaling,
      keda: {
        enabled: true,
        serverAddress: 'http://prometheus:9090',
        authenticationRef: 'prom',
        authModes: 'tls,basic',
      },
    },
    serviceMonitor: { enabled: true, labels: { release: 'prometheus' } },
    prometheusRule: { enabled: true, labels: { release: 'prometheus' }, runbookUrl: 'https://wiki.example/postrider' },
    dashboard: { enabled: true, annotations: { grafana_folder: 'Mail' } },
  },
  'a closed network': {
    ...given,
    redis: { url: 'rediss://redis.example.com:6380' },
    networkPolicy: {
      enabled: true,
      clients: [peer],
      monitoring: [peer],
      dns: { ports: [5353] },
      redis: { to: [peer], ports: [6380] },
      smtp: { to: [{ ipBlock: { cidr: '203.0.113.7/32' } }], ports: [465] },
    },
  },
  'open to the world': {
    ...given,
    fullnameOverride: 'mailer',
    image: { repository: 'registry.example/postrider', digest: `sha256:${'0'.repeat(64)}` },
    imagePullSecrets: [{ name: 'registry' }],
    service: { type: 'LoadBalancer', annotations: { 'example.com/internal': 'true' } },
    ingress: {
      enabled: true,
      className: 'nginx',
      annotations: { 'cert-manager.io/cluster-issuer': 'letsencrypt' },
      hosts: ['mail.example.com', 'mail.example.org'],
      tls: [{ secretName: 'mail', hosts: ['mail.example.com'] }],
    },
  },
  'settings and places': {
    ...given,
    shutdownTimeoutSeconds: 90,
    settings: { LOG_LEVEL: 'debug', MAX_WAITING_EMAILS: 5_000_000, WEBHOOK_ALLOW_PRIVATE_NETWORKS: false },
    serviceAccount: { create: false, name: 'mailer' },
    podDisruptionBudget: { maxUnavailable: '25%' },
    api: {
      preStopSeconds: 0,
      podAnnotations: { a: 'b' },
      podLabels: { c: 'd' },
      ...places,
      affinity: { nodeAffinity: {}, podAntiAffinity: {} },
    },
    worker: {
      replicas: 0,
      ...places,
      affinity: { nodeAffinity: {} },
      topologySpreadConstraints: [{ maxSkew: 2, topologyKey: 'rack', whenUnsatisfiable: 'DoNotSchedule' }],
      priorityClassName: 'high',
    },
  },
  'nothing to spare': {
    ...given,
    podDisruptionBudget: { enabled: false },
    api: { replicas: 1, affinity: null, resources: {} },
    worker: { replicas: 1, affinity: null, resources: {} },
  },
  'stopped for an upgrade': {
    ...given,
    stopped: true,
    api: { autoscaling },
    worker: { autoscaling, keda: { enabled: true, serverAddress: 'http://prometheus:9090' } },
    prometheusRule: { enabled: true },
  },
  'large mail': {
    ...given,
    settings: { API_BODY_BYTES: '128MB', WORKER_MAIL_BYTES: 2 ** 27 },
    api: { resources: { limits: { memory: '1Gi' } } },
    worker: { resources: { limits: { memory: '1.95Gi' } } },
  },
};

/** What is refused, and a word of why. */
export const wrongValues: readonly [why: RegExp, values: Values][] = [
  [/apiKey is missing: set apiKey\.existingSecret/, {}],
  [/secretKey is given twice/, { ...given, secretKey: { existingSecret: 'a', value: 'b' } }],
  ...['apiKey', 'secretKey', 'redis', 'smtp'].map((name): [RegExp, Values] => [
    new RegExp(`${name}\\.existingSecret is pr-postrider, a Secret of the chart itself`),
    { ...given, [name]: { existingSecret: 'pr-postrider' } },
  ]),
  [
    /transports\.existingSecret is pr-postrider-transports, a Secret of the chart itself/,
    { ...withoutSmtp, transports: { existingSecret: 'pr-postrider-transports' } },
  ],
  [/Set one of redis\.existingSecret/, { ...given, redis: {} }],
  [/Set one of redis\.existingSecret/, { ...given, valkey: { enabled: true } }],
  [/Set one of smtp\.existingSecret/, { ...given, transports: { existingSecret: 'a' } }],
  [/worker\.keda needs/, { ...given, worker: { keda: { enabled: true, serverAddress: 'http://p' } } }],
  [/worker\.keda\.authModes needs/, { ...given, worker: { keda: { authModes: 'bearer' } } }],
  [/keda\/authModes.*does not match/, { ...given, worker: { keda: { authModes: 'bearer, tls' } } }],
  [
    /worker\.autoscaling has a minReplicas over its maxReplicas/,
    { ...given, worker: { autoscaling: { enabled: true, minReplicas: 20 } } },
  ],
  [/a name in ingress\.hosts/, { ...given, ingress: { enabled: true } }],
  [/'replica' not allowed/, { ...given, api: { replica: 3 } }],
  [/'LOGLEVEL' not allowed/, { ...given, settings: { LOGLEVEL: 'debug' } }],
  [/'REDIS_URL' not allowed/, { ...given, settings: { REDIS_URL: 'redis://h' } }],
  ...['61s', '100s', '2m', '60000', '0s'].map((interval): [RegExp, Values] => [
    /serviceMonitor\/interval.*does not match/,
    { ...given, serviceMonitor: { enabled: true, interval } },
  ]),
  [/HOST.*must be one of '0\.0\.0\.0', '::'/, { ...given, settings: { HOST: '127.0.0.1' } }],
  [/LOG_LEVEL.*must be one of 'trace'/, { ...given, settings: { LOG_LEVEL: 'verbose' } }],
  [/ROLES is given twice/, { ...given, env: [{ name: 'ROLES', value: 'api,worker' }] }],
  [/HEALTH_PORT is given twice/, { ...given, env: [{ name: 'HEALTH_PORT', value: '0' }] }],
  [/SECRET_KEY is given twice/, { ...given, env: [{ name: 'SECRET_KEY', value: 'a' }] }],
  [
    /LOG_LEVEL is given twice/,
    { ...given, settings: { LOG_LEVEL: 'warn' }, env: [{ name: 'LOG_LEVEL', value: 'debug' }] },
  ],
  [
    /SMTP_URL is given beside TRANSPORTS_FILE/,
    { ...withoutSmtp, transports: { file: transportsFile }, env: [{ name: 'SMTP_URL', value: 'smtp://h' }] },
  ],
  [/TRANSPORTS_FILE is given beside SMTP_URL/, { ...given, env: [{ name: 'TRANSPORTS_FILE', value: '/a' }] }],
  [
    /api\.podLabels has app\.kubernetes\.io\/name, which the chart gives/,
    { ...given, api: { podLabels: { 'app.kubernetes.io/name': 'mailer' } } },
  ],
  [
    /worker\.podAnnotations has checksum\/secrets, which the chart gives/,
    { ...given, worker: { podAnnotations: { 'checksum/secrets': 'a' } } },
  ],
  [
    /serviceMonitor\.labels has helm\.sh\/chart, which the chart gives/,
    { ...given, serviceMonitor: { enabled: true, labels: { 'helm.sh/chart': 'a' } } },
  ],
  [/env\/0\/value.*must be one of '0\.0\.0\.0'/, { ...given, env: [{ name: 'HOST', value: '127.0.0.1' }] }],
  [/env\/0\/value.*must be one of 'trace'/, { ...given, env: [{ name: 'LOG_LEVEL', value: 'verbose' }] }],
  [/env\/0\/value.*want string/, { ...given, env: [{ name: 'SES_PORT', value: 465 }] }],
  [
    /worker\.resources\.limits\.memory is 512Mi, and WORKER_MAIL_BYTES is 64mb: expected 192Mi and 14 times that/,
    { ...given, worker: { resources: { limits: { memory: '512Mi' } } } },
  ],
  [
    /worker\.resources\.limits\.memory is 1152Mi, and WORKER_MAIL_BYTES is 134217728: expected/,
    { ...given, settings: { WORKER_MAIL_BYTES: 2 ** 27 } },
  ],
  [
    /api\.resources\.limits\.memory is 640Mi, and API_BODY_BYTES is 256MB: expected 192Mi and 5 times that/,
    { ...given, env: [{ name: 'API_BODY_BYTES', value: '256MB' }] },
  ],
  ...['dns', 'redis', 'smtp', 'web'].map((peer): [RegExp, Values] => [
    new RegExp(`${peer}/ports.*minItems`),
    { ...given, networkPolicy: { [peer]: { ports: [] } } },
  ]),
  ...['nonsense', '10.0.0.0', '10.0.0.256/8', '10.0.0.0/33', '10/0.0.0/8', 'fc00::/129'].map(
    (cidr): [RegExp, Values] => [
      /web\/except\/0.*does not match/,
      { ...given, networkPolicy: { web: { except: [cidr] } } },
    ],
  ),
  [/settings\/MAX_REDIS_MEMORY.*want.*integer/, { ...given, settings: { MAX_REDIS_MEMORY: 0.5 } }],
  [/apiKey\.value: expected pr_ and at least 20/, { ...given, apiKey: { value: 'short' } }],
  [/secretKey\.value: expected 32 bytes/, { ...given, secretKey: { value: 'b' } }],
  [/nameOverride.*does not match/, { ...given, nameOverride: 'Mail' }],
  [/fullnameOverride.*does not match/, { ...given, fullnameOverride: '1st-mail' }],
  [
    /valkey\.maxmemory is 1gb, of a limit of 1Gi: expected three quarters/,
    {
      ...given,
      redis: {},
      valkey: { enabled: true, maxmemory: '1gb', resources: { limits: { memory: '1Gi' } } },
    },
  ],
];
