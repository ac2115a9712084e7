#!/bin/sh
# User data of an EC2 instance (Amazon Linux 2023): Docker Engine and the agent. Fill in the three values; the instance's role
# needs ssm:GetParameter on the parameter (a SecureString with the agent's key) and, for ECR, the right to pull the image.
set -eu

agents_url='wss://API.execute-api.REGION.amazonaws.com/live'
key_parameter='/logferry/agent-key'
image='ACCOUNT.dkr.ecr.REGION.amazonaws.com/logferry-agent:VERSION'

dnf install -y -q docker
# The engine's logs are the agent's buffer while the cloud is away: room for it, and an end to it.
mkdir -p /etc/docker
cat >/etc/docker/daemon.json <<'JSON'
{"log-driver": "json-file", "log-opts": {"max-size": "50m", "max-file": "4"}, "live-restore": true}
JSON
systemctl enable --now docker

install -d -m 0700 /etc/logferry /var/lib/logferry
(umask 077 && aws ssm get-parameter --name "$key_parameter" --with-decryption --query Parameter.Value --output text \
    >/etc/logferry/agent-key)

case $image in
*.dkr.ecr.*)
    registry=${image%%/*}
    region=${registry#*.dkr.ecr.}
    aws ecr get-login-password --region "${region%%.*}" | docker login --username AWS --password-stdin "$registry"
    ;;
esac

docker run --detach --name logferry-agent --restart unless-stopped --stop-timeout 15 --memory 256m \
    --user 0 --read-only --cap-drop ALL --security-opt no-new-privileges \
    --env LOGFERRY_AGENTS_URL="$agents_url" --env LOGFERRY_AGENT_KEY_FILE=/etc/logferry/agent-key \
    --volume /etc/logferry:/etc/logferry:ro \
    --volume /var/run/docker.sock:/var/run/docker.sock:ro \
    --volume /var/lib/docker/containers:/var/lib/docker/containers:ro \
    --volume /var/lib/logferry:/var/lib/logferry \
    "$image"
