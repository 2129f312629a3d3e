{{- define "sower.name" -}}
{{- .Release.Name | trunc 53 | trimSuffix "-" -}}
{{- end -}}

{{- define "sower.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (ternary (include "sower.name" .) "default" .Values.serviceAccount.create) -}}
{{- end -}}

{{- define "sower.selector" -}}
app.kubernetes.io/name: sower
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "sower.labels" -}}
{{ include "sower.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "sower.sqlite" -}}
{{- if not .Values.database.secretRef.name -}}true{{- end -}}
{{- end -}}

{{- /* SQLite has one writer: a second Pod would be a second one. */ -}}
{{- define "sower.replicas" -}}
{{- $wished := .Values.replicas -}}
{{- if kindIs "invalid" $wished -}}
{{- ternary 1 2 (eq (include "sower.sqlite" .) "true") -}}
{{- else if and (include "sower.sqlite" .) (gt (int $wished) 1) -}}
{{- fail (printf "replicas is %d, and SQLite on a volume takes 1: set database.secretRef.name, or replicas to 1" (int $wished)) -}}
{{- else -}}
{{- int $wished -}}
{{- end -}}
{{- end -}}

{{- define "sower.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}
