{{/* What a Postrider container gets: settings, and secrets as files. dict "root" $ "component" "api" */}}

{{- define "postrider.env" -}}
{{- $values := .root.Values -}}
- { name: NODE_ENV, value: production }
- { name: ROLES, value: {{ .component }} }
- { name: {{ ternary "PORT" "HEALTH_PORT" (eq .component "api") }}, value: "8080" }
- { name: DATA_DIR, value: /tmp/postrider }
- { name: SHUTDOWN_TIMEOUT, value: {{ printf "%ds" (int $values.shutdownTimeoutSeconds) }} }
- { name: SECRET_KEY_FILE, value: /run/secrets/postrider/secret-key }
{{- if eq .component "api" }}
- { name: POSTRIDER_API_KEY_FILE, value: /run/secrets/postrider/api-key }
{{- end }}
{{- if $values.valkey.enabled }}
- { name: REDIS_URL, value: "redis://{{ include "postrider.valkey" .root }}:6379" }
{{- else }}
- { name: REDIS_URL_FILE, value: /run/secrets/postrider/redis-url }
{{- end }}
{{- if include "postrider.hasTransports" .root }}
- { name: TRANSPORTS_FILE, value: {{ printf "/etc/postrider/transports/%s" $values.transports.key | quote }} }
{{- else }}
- { name: SMTP_URL_FILE, value: /run/secrets/postrider/smtp-url }
{{- end }}
{{- range $name, $value := $values.settings }}
{{- /* A number arrives as a float, which would be written as 1e+06. */}}
- { name: {{ $name }}, value: {{ ternary (int64 $value) $value (kindIs "float64" $value) | toString | quote }} }
{{- end }}
{{- with $values.env }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Mounts whole folders, never single files: a file mounted by subPath does not follow changes of its Secret. */}}
{{- define "postrider.mounts" -}}
- { name: tmp, mountPath: /tmp }
- { name: secrets, mountPath: /run/secrets/postrider, readOnly: true }
{{- if include "postrider.hasTransports" .root }}
- { name: transports, mountPath: /etc/postrider/transports, readOnly: true }
{{- end }}
{{- end }}

{{- define "postrider.volumes" -}}
{{- $values := .root.Values -}}
- name: tmp
  emptyDir: { medium: Memory, sizeLimit: 16Mi }
- name: secrets
  projected:
    defaultMode: 0440
    sources:
      {{- include "postrider.source" (dict "root" .root "of" $values.secretKey "path" "secret-key") | nindent 6 }}
      {{- if eq .component "api" }}
      {{- include "postrider.source" (dict "root" .root "of" $values.apiKey "path" "api-key") | nindent 6 }}
      {{- end }}
      {{- if not $values.valkey.enabled }}
      {{- include "postrider.source" (dict "root" .root "of" $values.redis "path" "redis-url") | nindent 6 }}
      {{- end }}
      {{- if not (include "postrider.hasTransports" .root) }}
      {{- include "postrider.source" (dict "root" .root "of" $values.smtp "path" "smtp-url") | nindent 6 }}
      {{- end }}
{{- if include "postrider.hasTransports" .root }}
- name: transports
  secret: { secretName: {{ include "postrider.transportsSecret" .root }}, defaultMode: 0440 }
{{- end }}
{{- end }}

{{- define "postrider.source" -}}
- secret:
    name: {{ include "postrider.secret" . }}
    items: [{ key: {{ ternary .of.key .path (ne .of.existingSecret "") | quote }}, path: {{ .path }} }]
{{- end }}
