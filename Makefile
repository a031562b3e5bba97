# make demo               install what running needs, and run the embedded model on a short clip
# make demo VIDEO=my.mp4  the same on a video of yours
# make test               install everything and run the tests
# make person-lite        train the embedded model again, from the data sets in DATA; RESUME=1 goes on
# make reproduce          download DINOv2 and Penn-Fudan, train, measure, write docs/RESULTS.md;
#                         IMAGES="folder clip.mp4" adds pictures for lite to learn from DINOv2 on
# make trt-check          with an NVIDIA GPU: build TensorRT engines, compare masks, print a report
# make check              lint, types, tests: what must pass before a change lands
PYTHON ?= python3
BIN := .venv/bin
OPENCV := $(shell grep '^opencv-python==' requirements.txt)

.PHONY: demo test lint types check person-lite reproduce trt-check
demo: .venv/demo.stamp
	$(BIN)/python apps/demo.py $(if $(VIDEO),--input "$(VIDEO)")

test: .venv/all.stamp
	$(BIN)/python -m pytest

lint: .venv/all.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/all.stamp
	$(BIN)/mypy

check: lint types test

DATA ?= ../shared/data
# First small views, then larger ones from there, whose people that nobody labelled teach nothing.
go_on = $(if $(and $(RESUME),$(wildcard $(1)/last.pt)),--resume)
LITE := runs/person-lite
person-lite: .venv/all.stamp
	$(BIN)/python train.py --arch lite --output $(LITE)-first $(call go_on,$(LITE)-first) --data \
	  "$(DATA)/PennFudanPed,weight=0.37" \
	  "$(DATA)/people,val=60,seed=1,weight=0.43" \
	  "$(DATA)/negatives,negatives,val=80,seed=2,weight=0.2"
	$(BIN)/python train.py distill --student lite --output $(LITE) $(call go_on,$(LITE)) \
	  --init $(LITE)-first/last.pt --teacher $(LITE)-first/last.pt --soft 0 --data \
	  "$(DATA)/PennFudanPed,weight=0.4,ignore_above=0.7" \
	  "$(DATA)/people,val=60,seed=1,weight=0.32" \
	  "$(DATA)/negatives,negatives,val=80,seed=2,weight=0.28" \
	  --crop 448 448 --batch 8 --samples 1920 --lr 1e-3 --lovasz 0.5 --epochs 15
	$(BIN)/python export/to_onnx.py --model $(LITE)/last.pt \
	  --output weights/person-lite.onnx --overwrite

reproduce: .venv/all.stamp
	$(BIN)/python apps/reproduce.py $(if $(IMAGES),--images $(IMAGES)) \
	  --output docs/RESULTS.md --overwrite

trt-check: .venv/gpu.stamp
	$(BIN)/python export/trt_check.py --models weights/person-lite.onnx

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "dinoseg needs Python 3.11 or later: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -m venv .venv || \
	  { rm -rf .venv; echo "no venv: on Debian and Ubuntu, apt install python3-venv" >&2; exit 1; }

.venv/demo.stamp: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[demo]"
	@$(call check_cv2)
	@touch $@

# albumentations brings opencv-python-headless, which owns the same folder as opencv-python and has
# no windows; the last one installed wins, so opencv-python is put back over it.
.venv/all.stamp: requirements.txt pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip uninstall --quiet --yes opencv-python-headless
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --force-reinstall --no-deps \
	  "$(OPENCV)"
	@$(call check_cv2)
	@touch $@ .venv/demo.stamp

# onnxruntime and onnxruntime-gpu own one folder, so the other goes first.
.venv/gpu.stamp: requirements-gpu.txt pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip uninstall --quiet --yes onnxruntime
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-gpu.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

define check_cv2
$(BIN)/python -c 'import cv2' || { echo "OpenCV needs the system's libGL and glib: \
on Debian and Ubuntu, apt install libgl1 libglib2.0-0" >&2; exit 1; }
endef
