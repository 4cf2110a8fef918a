{{/* The Deployment of a role. Both roles run the same image. dict "root" $ "component" "api" "of" .Values.api */}}
{{- define "postrider.deployment" -}}
{{- $values := .root.Values -}}
{{- $preStop := int (default 0 .of.preStopSeconds) -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "postrider.fullname" .root }}-{{ .component }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "postrider.labels" . | nindent 4 }}
spec:
  {{- if $values.stopped }}
  replicas: 0
  {{- else if not .of.autoscaling.enabled }}
  replicas: {{ .of.replicas }}
  {{- end }}
  selector:
    matchLabels:
      {{- include "postrider.selector" . | nindent 6 }}
  strategy:
    rollingUpdate: { maxUnavailable: 0, maxSurge: 1 }
  template:
    metadata:
      labels:
        {{- include "postrider.labels" . | nindent 8 }}
        {{- with .of.podLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      annotations:
        # Pods read this chart's own Secret only at their start, so its change restarts them. Transports are not in it: Pods read those again.
        checksum/secrets: {{ include (print .root.Template.BasePath "/secret.yaml") .root | sha256sum }}
        {{- with .of.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      serviceAccountName: {{ include "postrider.serviceAccount" .root }}
      automountServiceAccountToken: false
      # Otherwise a Service `health` in the namespace would set HEALTH_PORT.
      enableServiceLinks: false
      {{- with $values.imagePullSecrets }}
      imagePullSecrets: {{ toYaml . | nindent 8 }}
      {{- end }}
      securityContext: {{ toYaml $values.podSecurityContext | nindent 8 }}
      # The preStop pause, SHUTDOWN_TIMEOUT, and time to close connections.
      terminationGracePeriodSeconds: {{ add $preStop $values.shutdownTimeoutSeconds 10 }}
      {{- with .of.priorityClassName }}
      priorityClassName: {{ . }}
      {{- end }}
      containers:
        - name: {{ .component }}
          image: {{ include "postrider.image" .root | quote }}
          imagePullPolicy: {{ $values.image.pullPolicy }}
          securityContext: {{ toYaml $values.securityContext | nindent 12 }}
          ports:
            - { name: http, containerPort: 8080 }
          env:
            {{- include "postrider.env" . | nindent 12 }}
          {{- with $values.envFrom }}
          envFrom: {{ toYaml . | nindent 12 }}
          {{- end }}
          volumeMounts:
            {{- include "postrider.mounts" . | nindent 12 }}
          startupProbe: { httpGet: { path: /livez, port: http }, periodSeconds: 2, timeoutSeconds: 5, failureThreshold: 60 }
          # Liveness never depends on Redis or an SMTP server: a restart would help neither.
          livenessProbe: { httpGet: { path: /livez, port: http }, periodSeconds: 10, timeoutSeconds: 5, failureThreshold: 6 }
          readinessProbe: { httpGet: { path: /readyz, port: http }, periodSeconds: 5, timeoutSeconds: 5, failureThreshold: 3 }
          {{- if $preStop }}
          lifecycle: { preStop: { sleep: { seconds: {{ $preStop }} } } }
          {{- end }}
          resources: {{ toYaml .of.resources | nindent 12 }}
      volumes:
        {{- include "postrider.volumes" . | nindent 8 }}
      topologySpreadConstraints:
        {{- with .of.topologySpreadConstraints }}
        {{- toYaml . | nindent 8 }}
        {{- else }}
        {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
        - maxSkew: 1
          topologyKey: {{ . }}
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels:
              {{- include "postrider.selector" $ | nindent 14 }}
        {{- end }}
        {{- end }}
      {{- with include "postrider.places" .of }}
      {{- trim . | nindent 6 }}
      {{- end }}
{{- end }}

{{/* On which nodes a Pod may run: .Values.api */}}
{{- define "postrider.places" -}}
{{- with .affinity }}
affinity: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .nodeSelector }}
nodeSelector: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations: {{ toYaml . | nindent 2 }}
{{- end }}
{{- end }}
