#!/bin/sh
# User data of an EC2 instance (Amazon Linux 2023): installs Docker Engine and runs the agent. Fill in the three values.
# ec2.yaml is a launch template with this script, for which CloudFormation fills them in.
#
# The agent signs in with the instance's role. `logferry roles map ARN --agent NAME` maps the role to an agent. The role
# needs no permission for that, except to pull the image from ECR. Launch the instance with a metadata hop limit of 2, or
# its containers cannot get the role's credentials: --metadata-options HttpTokens=required,HttpPutResponseHopLimit=2
#
# To use a key instead, name an SSM parameter (a SecureString with the key). The role then needs ssm:GetParameter on it.
set -eu

agents_url='wss://API.execute-api.REGION.amazonaws.com/live'
key_parameter=''
image='ACCOUNT.dkr.ecr.REGION.amazonaws.com/logferry-agent:VERSION'

# The rest needs no change. `make generate` copies it to ec2.yaml.

# A new instance's role, name server or package mirror may answer only after some seconds.
retry() {
    for pause in 2 4 8 16 32; do
        "$@" && return
        sleep "$pause"
    done
    "$@"
}

retry dnf install -y -q docker
# While the cloud is unreachable, the engine's log files are the agent's buffer. Give them room and a limit.
mkdir -p /etc/docker
cat >/etc/docker/daemon.json <<'JSON'
{"log-driver": "json-file", "log-opts": {"max-size": "50m", "max-file": "4"}, "live-restore": true}
JSON
systemctl enable --now docker

metadata() {
    token=$(curl -sSf -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' http://169.254.169.254/latest/api/token)
    curl -sSf -H "X-aws-ec2-metadata-token: $token" "http://169.254.169.254/latest/meta-data/$1"
}

key() {
    aws ssm get-parameter --region "$(metadata placement/region)" --name "$key_parameter" --with-decryption \
        --query Parameter.Value --output text >/etc/logferry/agent-key
}

install -d -m 0700 /etc/logferry /var/lib/logferry
if [ -n "$key_parameter" ]; then
    umask 077
    retry key
    sign_in=LOGFERRY_AGENT_KEY_FILE=/etc/logferry/agent-key
else
    sign_in=LOGFERRY_AWS_IDENTITY=true
fi

pull() {
    case $image in
    *.dkr.ecr.*)
        registry=${image%%/*}
        region=${registry#*.dkr.ecr.}
        password=$(aws ecr get-login-password --region "${region%%.*}") &&
            echo "$password" | docker login --username AWS --password-stdin "$registry"
        ;;
    esac && docker pull --quiet "$image"
}
retry pull

docker rm --force logferry-agent >/dev/null 2>&1 || true
docker run --detach --name logferry-agent --restart unless-stopped --stop-timeout 15 --memory 256m \
    --user 0 --read-only --cap-drop ALL --security-opt no-new-privileges \
    --env LOGFERRY_AGENTS_URL="$agents_url" --env "$sign_in" \
    --volume /etc/logferry:/etc/logferry:ro \
    --volume /var/run/docker.sock:/var/run/docker.sock:ro \
    --volume /var/lib/docker/containers:/var/lib/docker/containers:ro \
    --volume /var/lib/logferry:/var/lib/logferry \
    "$image"
