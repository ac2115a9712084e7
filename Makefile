# The commands for this checkout, for people and for CI. `make help` lists them.

PYTHON ?= python3
BIN := .venv/bin
# The state folder of `make demo`. Empty: a temporary folder, removed at the end.
STATE ?=
# Further arguments for pytest, as in `make unit ARGS="-k batcher"`.
ARGS ?=

# What each command runs. Tests that need an engine or a cloud share the machine, so they run one by one, and mostly
# wait. `make test` therefore runs all others beside them: two processes of about the same length.
ENGINE_OR_CLOUD := (engine or cloud) and not slow
OTHERS := not engine and not cloud and not slow
MACHINE := (engine or cloud or browser) and not slow
PURE := not engine and not cloud and not browser and not slow
# No test in these folders is pure. Not importing them saves each of the two processes of `make unit` some seconds.
NO_PURE_TESTS := --ignore tests/browser --ignore tests/chaos --ignore tests/e2e

# Some images forbid Python to cache bytecode. Then pytest takes 14 s instead of 5 s to collect the tests (2026-11-30), and
# each process that a test starts compiles all of its imports again.
export PYTHONDONTWRITEBYTECODE :=
export UV_PYTHON_DOWNLOADS := never
export SAM_CLI_TELEMETRY := 0
# Material for MkDocs announces at each build that MkDocs 2 is another program.
export NO_MKDOCS_2_WARNING := 1
export PATH := $(CURDIR)/.venv-tools/bin:$(PATH)

.DEFAULT_GOAL := help
.PHONY: help setup demo test check lint types layers generated markdown docs site generate expressions web validate unit integration bench bench-agent bench-agent-idle bench-agent-steady bench-agent-hostile bench-cold-start bench-search bench-web chaos dist image screenshots fmt lock clean distclean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-20s %s\n", $$1, $$2}' Makefile

setup: ## install everything into this folder (as root on Debian also Docker Engine and Chromium, with apt)
	@$(PYTHON) infra/setup

demo: setup ## run Logferry on this machine with three sample containers, until Ctrl-C
	@exec $(BIN)/logferry demo $(if $(STATE),--state "$(STATE)")

test: setup check web ## run setup, every check, and all tests (vitest and pytest)
	@mkdir -p .build; echo "the tests that need no engine or cloud run beside the others, into .build/others.log"; \
	$(BIN)/python -m pytest -q -m "$(OTHERS)" $(ARGS) >.build/others.log 2>&1 & others=$$!; \
	trap 'kill $$others 2>/dev/null' INT TERM; \
	$(BIN)/python -m pytest -q -m "$(ENGINE_OR_CLOUD)" $(ARGS); machine=$$?; \
	wait $$others; others=$$?; cat .build/others.log; \
	case $$machine-$$others-$(if $(ARGS),chosen) in 0-0-* | 0-5-chosen | 5-0-chosen) ;; *) exit 1 ;; esac
	# pytest ends with 5 where ARGS chooses no test of one process.

check: setup lint types layers generated markdown site expressions validate ## check code, types, imports, generated files, pages, regular expressions and templates; run no test

lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	cd web && npm run --silent lint

types:
	$(BIN)/mypy
	cd web && npm run --silent typecheck

layers:
	PYTHONPATH=functions $(BIN)/lint-imports

# Every file that infra/generate/files.py lists equals what its source gives.
generated:
	PYTHONPATH=functions $(BIN)/python -m infra.generate --check

# Line length, links, sentence length and table cells of every Markdown page; and the site builds.
markdown: site
	$(BIN)/python -m infra.checks.markdown

# The site of the documentation builds without a warning: every page is in its navigation, and every link and anchor exists.
site:
	@$(BIN)/mkdocs build --strict

# No regular expression of the viewer or of Python may take more than linear time.
expressions:
	PYTHONPATH=functions $(BIN)/python -m infra.checks.expressions

validate:
	.venv-sam/bin/sam validate --lint --template template.yaml --region eu-west-1
	.venv-sam/bin/sam validate --lint --template infra/agent/ecs.yaml --region eu-west-1
	.venv-sam/bin/sam validate --lint --template infra/agent/ec2.yaml --region eu-west-1
	.venv-sam/bin/sam validate --lint --template infra/nested/watch.yaml --region eu-west-1

web: setup ## run the viewer's tests (vitest)
	cd web && npm run --silent test

unit: setup ## run the tests that need no engine, cloud or browser (pytest)
	$(BIN)/python -m pytest -q -n 2 --dist worksteal $(NO_PURE_TESTS) -m "$(PURE)" $(ARGS)

integration: setup ## run the tests that need an engine, the local cloud or a browser (pytest)
	$(BIN)/python -m pytest -q -m "$(MACHINE)" $(ARGS)

bench: bench-agent bench-web ## run bench-agent and bench-web

bench-agent: setup ## measure how fast the agent ships a backlog, compared with the engine's API
	$(BIN)/python -m logferry_local.images sample logferry-bench
	$(BIN)/python -m bench.agent.run --image logferry-bench $(ARGS)

bench-agent-idle: setup ## measure the agent's memory and CPU with 200 idle containers, then 50 that write (30 minutes)
	$(BIN)/python -m logferry_local.images sample logferry-bench
	$(BIN)/python -m bench.agent.idle --image logferry-bench $(ARGS)

bench-agent-steady: setup ## measure the agent's CPU use while a container writes one line at a time
	$(BIN)/python -m logferry_local.images sample logferry-bench
	$(BIN)/python -m bench.agent.steady --image logferry-bench $(ARGS)

bench-agent-hostile: setup ## measure how long hostile lines of one container delay another's, with redaction
	$(BIN)/python -m logferry_local.images sample logferry-bench
	$(BIN)/python -m bench.agent.hostile --image logferry-bench $(ARGS)

bench-cold-start: setup ## measure the processor time of each function's imports and clients, compared with boto3's
	PYTHONPATH=functions:. $(BIN)/python -m bench.cold_start $(ARGS)

bench-search: setup ## measure how long a hostile search takes on a running local cloud, compared with its budget
	PYTHONPATH=functions:. $(BIN)/python -m bench.search $(ARGS)

bench-web: setup ## measure the viewer (opening, scrolling, floods, searches, memory, reconnects), compared with its targets
	PYTHONPATH=functions $(BIN)/python -m bench.web $(ARGS)

chaos: setup ## run the long tests (crashes, cuts, full disks, rotations) and new examples for the property tests
	$(BIN)/python -m pytest -q --hypothesis-profile explore tests/unit tests/contract
	$(BIN)/python -m pytest -q -m slow --timeout 3600 tests $(ARGS)

generate: setup ## write every generated file (pages, schemas, TypeScript) from its source in Python
	PYTHONPATH=functions $(BIN)/python -m infra.generate

dist: setup ## build the wheel and the sdist into dist/ from the last commit, and test them in clean environments
	$(BIN)/python -m infra.release $(ARGS)

docs: setup site ## build the documentation as a site, in .build/site
	@echo "the documentation is in .build/site: open .build/site/index.html through a server, or run $(BIN)/mkdocs serve"

image: ## build the agent's image for amd64 and arm64, where buildx can, else for this machine; PUSH=NAME:TAG pushes it
	@infra/agent/image.sh $(if $(PUSH),--push "$(PUSH)",$(if $(TAG),"$(TAG)"))

screenshots: setup ## take the README's pictures of the viewer again, from the demo (needs Chromium)
	$(BIN)/python -m infra.screenshots

fmt: setup ## format the code and sort imports
	$(BIN)/ruff check --fix --exit-zero .
	$(BIN)/ruff format .
	cd web && npm run --silent fmt

lock: ## lock the newest versions of all Python requirements, with hashes
	@$(PYTHON) infra/setup lock

clean: ## remove what builds and tests left; keep the environments
	rm -rf .aws-sam .build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis web/dist dist
	find . -name __pycache__ -not -path './.venv*' -not -path './web/node_modules/*' -prune -exec rm -rf {} +

distclean: clean ## remove the environments as well
	rm -rf .venv .venv-cloud .venv-sam .venv-tools .setup web/node_modules
