{{/* Names and labels. */}}

{{- define "postrider.name" -}}
{{ default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* At most 52 characters, to leave room for suffixes. */}}
{{- define "postrider.fullname" -}}
{{- $name := include "postrider.name" . -}}
{{- $both := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{ default $both .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- end }}

{{/* Labels that never change during the life of a release: dict "root" $ "component" "api" */}}
{{- define "postrider.selector" -}}
app.kubernetes.io/name: {{ include "postrider.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "postrider.labels" -}}
{{ include "postrider.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "postrider.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}{{ .repository }}@{{ .digest }}
{{- else -}}{{ .repository }}:{{ default $.Chart.AppVersion .tag }}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "postrider.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}{{ default (include "postrider.fullname" .) .Values.serviceAccount.name }}
{{- else -}}{{ default "default" .Values.serviceAccount.name }}
{{- end -}}
{{- end }}

{{/* The name of the Secret that holds a value: yours, or the one of this chart. dict "root" $ "of" .Values.apiKey */}}
{{- define "postrider.secret" -}}
{{ default (include "postrider.fullname" .root) .of.existingSecret }}
{{- end }}

{{/* A label of a StatefulSet's Pods has its name plus ten characters, a hash. A label has at most 63 characters. */}}
{{- define "postrider.valkey" -}}
{{ include "postrider.fullname" . | trunc 45 | trimSuffix "-" }}-valkey
{{- end }}

{{- define "postrider.transportsSecret" -}}
{{ default (printf "%s-transports" (include "postrider.fullname" .)) .Values.transports.existingSecret }}
{{- end }}

{{- define "postrider.hasTransports" -}}
{{- if or .Values.transports.existingSecret .Values.transports.file }}true{{ end -}}
{{- end }}
