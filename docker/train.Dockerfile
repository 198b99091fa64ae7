# TensorFlow 1.13.1 with the Object Detection API and patched prediction heads.
FROM scratch AS wheels
# --build-context wheels=FOLDER puts wheels here; without it they come from the package index.

FROM python:3.7-slim-bookworm@sha256:b53f496ca43e5af6994f8e316cf03af31050bf7944e0e4a308ad86c001cf028b AS build
ARG SOURCE_DATE_EPOCH
RUN --mount=type=bind,source=docker,target=/docker --mount=type=bind,source=patches,target=/patches \
    --mount=type=bind,source=edgemill/engines/series.py,target=/series.py --mount=type=bind,from=wheels,target=/wheels \
    sh /docker/build/install.sh train tf1-object-detection

FROM python:3.7-slim-bookworm@sha256:b53f496ca43e5af6994f8e316cf03af31050bf7944e0e4a308ad86c001cf028b
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH MPLBACKEND=Agg
ARG SOURCE REVISION VERSION IDENTITY
LABEL org.opencontainers.image.title="EdgeMill train" org.opencontainers.image.source=$SOURCE \
      org.opencontainers.image.revision=$REVISION org.opencontainers.image.version=$VERSION \
      org.edgemill.image=train org.edgemill.identity=$IDENTITY
USER 65532:65532
